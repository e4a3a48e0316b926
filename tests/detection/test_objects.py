"""Detectors of objects: what the graphs say becomes regions, or an error that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_graphs import (
    BOXES,
    CANDIDATES,
    CELL,
    CLASSES,
    FEATURES,
    PIXELS,
    SIDE,
    SINGLE,
    TWO_STAGE,
    FakeGraph,
    anchors,
    backbone_onnx,
    fake_single,
    head_onnx,
    random_answer,
    single_onnx,
    weights,
    write_two_stage,
)
from onnx import TensorProto, helper, numpy_helper
from tiny import random_weights, tiny_config, tiny_tokenizer

import refine_itr
from refine_itr.bundle import HEAD, BundleConfig, read_bundle, write_bundle
from refine_itr.detection import Device, ObjectDetector, open_detectors
from refine_itr.detection.candidates import SingleGraph, TwoStage
from refine_itr.detection.canvas import Canvas
from refine_itr.errors import BundleError, DetectorError, DeviceError, InvalidInputError
from refine_itr.types import AspectSize, Picture

seeds = st.integers(0, 2**32 - 1)


def picture(width: int = SIDE, height: int = SIDE, seed: int = 0) -> Picture:
    """A picture on the canvas whose original is twice as wide and three times as high."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture(pixels, 2 * width, 3 * height)


def single(answer: Callable[..., dict[str, np.ndarray]], batch: object = "n") -> ObjectDetector:
    return ObjectDetector(
        SingleGraph(fake_single(answer, batch), SINGLE, FEATURES), SINGLE, FEATURES
    )


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    x, y = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    areas = [float((c[2] - c[0]) * (c[3] - c[1])) for c in (a, b)]
    union = sum(areas) - x * y
    return x * y / union if union else 0.0


def greedy(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    """Non-maximum suppression, one box at a time."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(overlap(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(int(i))
    return kept


def best_regions(boxes: np.ndarray, scores: np.ndarray, k: int) -> list[int]:
    """The rule of bottom-up attention: classes by themselves, then the best of what is left."""
    surviving = np.full(len(boxes), -np.inf)
    for column in scores.T[1:]:  # the first class is the background
        for i in greedy(boxes, column, SINGLE.selection.iou):
            surviving[i] = max(surviving[i], column[i])
    raw = scores[:, 1:].max(axis=1)
    return sorted(range(len(boxes)), key=lambda i: (-surviving[i], -raw[i]))[:k]


@given(seed=seeds, width=st.integers(1, SIDE), height=st.integers(1, SIDE))
def test_the_best_boxes_become_regions(seed: int, width: int, height: int) -> None:
    answer = random_answer(seed)
    shown = picture(width, height)
    regions = single(lambda _: answer).detect([shown])
    clipped = np.clip(answer["boxes"][0], 0, [width, height, width, height])
    order = best_regions(clipped, answer["scores"][0], 4)
    np.testing.assert_array_equal(regions.features[0], answer["features"][0][order])
    np.testing.assert_allclose(regions.boxes[0], clipped[order] * [2, 3, 2, 3], rtol=1e-6)


@pytest.mark.parametrize("batch", ["n", 1, 3])
@pytest.mark.parametrize("count", [0, 1, 3, 7, 10])
def test_a_batch_is_its_pictures(batch: int | str, count: int) -> None:
    def answer(inputs: Any) -> dict[str, np.ndarray]:
        """Tells pictures apart by their first pixel."""
        marks = inputs["images"][:, 0, 0, 0]
        each = [random_answer(int(abs(mark) * 1000)) for mark in marks]
        return {name: np.concatenate([e[name] for e in each]) for name in each[0]}

    detector = single(answer, batch)
    pictures = [picture(seed=i) for i in range(count)]
    regions = detector.detect(pictures)
    assert regions.features.shape == (count, 4, FEATURES)
    assert regions.boxes.shape == (count, 4, 4)
    for i, shown in enumerate(pictures):
        alone = single(answer).detect([shown])
        np.testing.assert_array_equal(regions.features[i], alone.features[0])
        np.testing.assert_array_equal(regions.boxes[i], alone.boxes[0])
    calls = detector.backend.calls  # type: ignore[attr-defined]
    sizes = {len(call["images"]) for call in calls}
    assert sizes <= ({batch} if isinstance(batch, int) else {1, 2, 3, 7, 8})


def test_a_number_that_is_not_fixed_can_be_found_and_not_detected() -> None:
    rule = replace(SINGLE.selection, least=2, most=6, keep_score=0.9)
    config = replace(SINGLE, selection=rule)
    answers = [random_answer(seed) for seed in range(20)]
    counts = set()
    for answer in answers:
        graph = fake_single(lambda _, answer=answer: answer)
        detector = ObjectDetector(SingleGraph(graph, config, FEATURES), config, FEATURES)
        (found,) = detector.find([picture()])
        order = best_regions(np.clip(answer["boxes"][0], 0, SIDE), answer["scores"][0], BOXES)
        counts.add(found.boxes.shape[1])
        np.testing.assert_array_equal(
            found.features[0], answer["features"][0][order[: found.boxes.shape[1]]]
        )
        with pytest.raises(InvalidInputError, match="expected a fixed number of regions; got 2 to"):
            detector.detect([picture()])
    assert counts <= set(range(2, 7))
    assert len(counts) > 1


@pytest.mark.parametrize(
    ("box_format", "made"),
    [
        ("xyxy", lambda b: b),
        ("yxyx", lambda b: b[..., [1, 0, 3, 2]]),
        ("xywh", lambda b: np.concatenate([b[..., :2], b[..., 2:] - b[..., :2]], -1)),
        (
            "cxcywh",
            lambda b: np.concatenate([(b[..., :2] + b[..., 2:]) / 2, b[..., 2:] - b[..., :2]], -1),
        ),
    ],
)
@pytest.mark.parametrize(("units", "scale"), [("pixels", 1), ("canvas", SIDE)])
def test_boxes_in_any_format(
    box_format: str, made: Callable[[np.ndarray], np.ndarray], units: str, scale: int
) -> None:
    answer = random_answer(0)
    written = answer | {"boxes": (made(answer["boxes"]) / scale).astype(np.float32)}
    outputs = replace(SINGLE.outputs, box_format=box_format, box_units=units)
    config = replace(SINGLE, outputs=outputs)
    source = SingleGraph(fake_single(lambda _: written), config, FEATURES)
    regions = ObjectDetector(source, config, FEATURES).detect([picture()])
    expected = single(lambda _: answer).detect([picture()])
    np.testing.assert_array_equal(regions.features, expected.features)
    np.testing.assert_allclose(regions.boxes, expected.boxes, atol=1e-4)


def test_a_mean_that_is_no_colour() -> None:
    canvas = Canvas(replace(PIXELS, dtype="uint8", mean=(-5.0, 1000.0, 7.4)))
    assert canvas.fill([picture(1, 1)])[0, :, 1, 1].tolist() == [0, 255, 7]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_canvas(layout: str, channels: str, dtype: str) -> None:
    canvas = Canvas(replace(PIXELS, layout=layout, channels=channels, dtype=dtype))
    shown = picture(20, 30)
    filled = canvas.fill([shown])
    assert filled.shape == (1, *canvas.input_shape)
    assert filled.dtype == dtype
    assert filled.flags.c_contiguous
    pixels = filled[0].transpose(1, 2, 0) if layout == "nchw" else filled[0]
    colours = shown.pixels[..., ::-1] if channels == "bgr" else shown.pixels
    mean, std = np.array(PIXELS.mean), np.array(PIXELS.std)
    expected = colours if dtype == "uint8" else (colours - mean) / std
    np.testing.assert_allclose(pixels[:30, :20], expected, rtol=1e-6, atol=1e-6)
    beside = mean if dtype == "uint8" else 0 * mean
    assert (pixels[30:] == beside).all()
    assert (pixels[:, 20:] == beside).all()


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_size_that_keeps_the_aspect(width: int, height: int) -> None:
    short, long = 60, 100
    got = AspectSize(short, long).of(width, height)
    scale = min(short / min(width, height), long / max(width, height))
    assert 1 <= min(got) <= short
    assert max(got) <= long
    assert abs(got[0] - width * scale) <= 1
    assert abs(got[1] - height * scale) <= 1


def spoilt(name: str, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    answer = random_answer(0)
    return answer | {name: change(answer[name])}


def with_one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed.flat[7] = value
        return changed

    return change


@pytest.mark.parametrize("name", ["boxes", "scores", "features"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_one(np.nan), "expected finite values; got NaN or infinity"),
        (with_one(np.inf), "expected finite values; got NaN or infinity"),
        (lambda a: a.astype(np.float64), "as the graph declares; got float64"),
        (lambda a: a[:, :-1], "as the graph declares; got float32 (1, 11, "),
    ],
)
def test_bad_answers(name: str, change: Callable[..., np.ndarray], message: str) -> None:
    with pytest.raises(DetectorError) as caught:
        single(lambda _: spoilt(name, change)).detect([picture()])
    assert f"fake.onnx: output {name!r}: expected" in str(caught.value)
    assert message in str(caught.value)


def rewritten(data: bytes, change: Callable[[onnx.GraphProto], object]) -> bytes:
    model = onnx.load_from_string(data)
    change(model.graph)
    return model.SerializeToString()


def declared(data: bytes, name: str, shape: tuple[object, ...], dtype: int = 1) -> bytes:
    def change(graph: onnx.GraphProto) -> None:
        for values in (graph.input, graph.output):
            for value in values:
                if value.name == name:
                    value.CopyFrom(helper.make_tensor_value_info(name, dtype, shape))

    return rewritten(data, change)


def without_output(data: bytes, name: str) -> bytes:
    def change(graph: onnx.GraphProto) -> None:
        graph.output.remove(next(o for o in graph.output if o.name == name))

    return rewritten(data, change)


def some_boxes(data: bytes) -> bytes:
    """The graph with as many boxes as it likes: what exporters make of an NMS inside."""

    def change(graph: onnx.GraphProto) -> None:
        graph.node[-1].output[0] = "all"
        graph.node.append(helper.make_node("Compress", ["all", "kept"], ["boxes"], axis=1))
        graph.initializer.append(numpy_helper.from_array(np.arange(BOXES) < 7, "kept"))

    return declared(rewritten(data, change), "boxes", ("n", "p", 4))


WRONG_SINGLE = [
    (without_output(single_onnx(), "scores"), "expected an output 'scores', float32 (n, 12,"),
    (declared(single_onnx(), "images", ("n", 3, 16, 16)), "expected float32 (n, 3, 32, 32)"),
    (declared(single_onnx(), "images", ("n", 3, "h", "w")), "got float32 (n, 3, h, w)"),
    (some_boxes(single_onnx()), "output 'boxes': expected float32 (n, P, 4) with fixed sizes; got"),
    (single_onnx(0), "expected one batch size"),
    (single_onnx(129), "expected one batch size, at most 128 or not fixed"),
    (b"junk", "detector.onnx: "),
    (b"", "detector.onnx: "),
]


@pytest.mark.parametrize(("data", "message"), WRONG_SINGLE, ids=[m for _, m in WRONG_SINGLE])
def test_graphs_that_are_wrong(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(data)
    with pytest.raises(DetectorError) as caught:
        open_detectors(path, SINGLE, features=FEATURES)
    assert message in str(caught.value)


def test_a_batch_that_was_baked_in_half() -> None:
    graph = fake_single(dict, 2)
    graph.outputs["boxes"] = replace(graph.outputs["boxes"], shape=("n", BOXES, 4))
    with pytest.raises(DetectorError, match=r"expected one batch size, .* \['2', 'None'"):
        SingleGraph(graph, SINGLE, FEATURES)


def test_too_many_boxes() -> None:
    """They would be compared with each other, all pairs of them."""
    graph = fake_single(dict)
    for name, last in (("boxes", 4), ("scores", CLASSES), ("features", FEATURES)):
        graph.outputs[name] = replace(graph.outputs[name], shape=("n", 8193, last))
    with pytest.raises(DetectorError, match="expected at most 8192 boxes a picture"):
        SingleGraph(graph, SINGLE, FEATURES)


def test_other_features_or_no_such_class(tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(single_onnx())
    with pytest.raises(DetectorError, match=r"'features': expected float32 \(n, 12, 7\)"):
        open_detectors(path, SINGLE, features=7)
    config = replace(SINGLE, selection=replace(SINGLE.selection, background=CLASSES))
    with pytest.raises(DetectorError, match=r"expected more than 5 classes .*; got 5"):
        open_detectors(path, config, features=FEATURES)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin"])
def test_weights_from_outside_of_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(1 << 12))

    def point_outside(graph: onnx.GraphProto) -> None:
        tensor = next(i for i in graph.initializer if i.name == "mix")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "detector.onnx").write_bytes(rewritten(single_onnx(), point_outside))
    with pytest.raises(DetectorError, match=r"detector\.onnx: "):
        open_detectors(folder / "detector.onnx", SINGLE, features=FEATURES)


def sampled(values: np.ndarray, x: float, y: float) -> np.ndarray:
    """A map (C, 8, 8) between its four nearest cells, as RoIAlign samples it."""
    x, y = max(x, 0.0), max(y, 0.0)
    left, top = min(int(x), 7), min(int(y), 7)
    right, bottom = min(left + 1, 7), min(top + 1, 7)
    a, b = min(x - left, 1.0), min(y - top, 1.0)
    a, b = (0.0 if left == 7 else a), (0.0 if top == 7 else b)
    return (
        values[:, top, left] * (1 - a) * (1 - b)
        + values[:, top, right] * a * (1 - b)
        + values[:, bottom, left] * (1 - a) * b
        + values[:, bottom, right] * a * b
    )


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (32, 20), (9, 32), (1, 1)])
def test_two_stages_equal_the_same_by_hand(width: int, height: int, tmp_path: Path) -> None:
    (detector,) = open_detectors(write_two_stage(tmp_path), TWO_STAGE, features=FEATURES)
    shown = picture(width, height, seed=4)
    regions = detector.detect([shown])

    w = weights()
    canvas = np.zeros((3, SIDE, SIDE))
    normal = (shown.pixels - np.array(PIXELS.mean)) / np.array(PIXELS.std)
    canvas[:, :height, :width] = normal.transpose(2, 0, 1)
    cells = canvas.reshape(3, 8, CELL, 8, CELL).mean(axis=(2, 4))
    values = np.einsum("fc,cyx->fyx", w["mix"][:, :, 0, 0], cells)
    seen = np.einsum("af,fyx->ayx", w["see"][:, :, 0, 0], values).ravel()
    boxes = np.clip(anchors(), 0, [width, height, width, height])
    large = [i for i in range(CANDIDATES) if (boxes[i, 2:] - boxes[i, :2] >= 1).all()]
    kept = []
    for level in (range(64), range(64, 128)):
        of_level = np.array([i for i in large if i in level], int)
        kept += of_level[greedy(boxes[of_level], seen[of_level], 0.7)].tolist()
    kept = sorted(kept, key=lambda i: -seen[i])[:BOXES]
    proposals = boxes[kept] if kept else np.array([[0, 0, width, height]], float)
    centres = (proposals[:, :2] + proposals[:, 2:]) / 2 / CELL - 0.5
    # In ONNX "half_pixel" shifts by half a cell, as torchvision's aligned=True.
    features = np.stack([sampled(values, *centre) for centre in centres])
    order = best_regions(proposals, softmax(features @ w["classify"]), 4)
    order = np.resize(order, 4)
    np.testing.assert_allclose(regions.features[0], features[order], atol=1e-5)
    np.testing.assert_allclose(regions.boxes[0], proposals[order] * [2, 3, 2, 3], rtol=1e-6)


def fake_two_stage(
    objectness: np.ndarray, candidates: np.ndarray, head: Callable[..., dict[str, np.ndarray]]
) -> tuple[ObjectDetector, FakeGraph, FakeGraph]:
    first = FakeGraph(
        {"images": (1, 3, SIDE, SIDE)},
        {"candidates": (1, CANDIDATES, 4), "objectness": (1, CANDIDATES), "map": (1, 2, 3)},
        lambda _: {
            "candidates": candidates, "objectness": objectness, "map": np.ones((1, 2, 3), "f4")
        },
    )  # fmt: skip
    second = FakeGraph(
        {"proposals": (1, BOXES, 4), "map": (1, 2, 3)},
        {"scores": (1, BOXES, CLASSES), "features": (1, BOXES, FEATURES)},
        head,
    )
    source = TwoStage(first, second, TWO_STAGE, FEATURES)
    return ObjectDetector(source, TWO_STAGE, FEATURES), first, second


def test_proposals_that_fill_up_the_graph_are_never_regions() -> None:
    candidates = np.zeros((1, CANDIDATES, 4), np.float32)
    candidates[0, :2] = [[0, 0, 8, 8], [16, 16, 30, 30]]  # all others have no area

    def head(inputs: Any) -> dict[str, np.ndarray]:
        scores = np.full((1, BOXES, CLASSES), 0.9, np.float32)
        scores[0, 0], scores[0, 1] = 0.1, 0.2
        marks = np.arange(BOXES, dtype=np.float32)[None, :, None]
        return {"scores": scores, "features": np.repeat(marks, FEATURES, axis=2)}

    detector, first, second = fake_two_stage(
        np.linspace(1, 0, CANDIDATES, dtype=np.float32)[None], candidates, head
    )
    regions = detector.detect([picture()])
    assert regions.features[0, :, 0].tolist() == [1, 0, 1, 0]  # two regions, repeated
    np.testing.assert_array_equal(
        second.calls[0]["proposals"][0], np.tile(candidates[0, :2], (BOXES // 2, 1))
    )
    assert (second.calls[0]["map"] == 1).all()
    detector.close()
    assert first.closed
    assert second.closed


def test_a_picture_without_any_proposal_is_one() -> None:
    answer = {
        "scores": np.full((1, BOXES, CLASSES), 0.5, np.float32),
        "features": np.ones((1, BOXES, FEATURES), np.float32),
    }
    detector, _, second = fake_two_stage(
        np.ones((1, CANDIDATES), np.float32),
        np.zeros((1, CANDIDATES, 4), np.float32),
        lambda _: answer,
    )
    regions = detector.detect([picture(20, 10)])
    assert second.calls[0]["proposals"][0, 0].tolist() == [0, 0, 20, 10]
    assert regions.boxes[0].tolist() == [[0, 0, 40, 30]] * 4


def test_nan_candidates() -> None:
    candidates = np.zeros((1, CANDIDATES, 4), np.float32)
    candidates[0, 5, 2] = np.nan
    detector, *_ = fake_two_stage(np.ones((1, CANDIDATES), np.float32), candidates, dict)
    with pytest.raises(DetectorError, match="output 'candidates': expected finite values"):
        detector.detect([picture()])


WRONG_HEADS = [
    (declared(head_onnx(), "proposals", (1, "p", 4)), "'proposals': expected float32 (n, P, 4)"),
    (declared(head_onnx(), "map", (1, 7, 8, 8)), "'map': expected float32 (n, 7, 8, 8)"),
    (declared(head_onnx(), "map", (1, FEATURES, "h", "w")), "input 'map': expected float32"),
    (without_output(head_onnx(), "features"), "expected an output 'features'"),
    (
        rewritten(head_onnx(), lambda g: g.input.add().CopyFrom(
            helper.make_tensor_value_info("sizes", 1, (1, 2)))),
        "expected an output 'sizes', float32 (n, 2); got candidates, objectness, map",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), WRONG_HEADS, ids=[m for _, m in WRONG_HEADS])
def test_heads_that_do_not_fit(data: bytes, message: str, tmp_path: Path) -> None:
    path = write_two_stage(tmp_path)
    (tmp_path / HEAD).write_bytes(data)
    with pytest.raises(DetectorError) as caught:
        open_detectors(path, TWO_STAGE, features=FEATURES)
    assert message in str(caught.value)


def test_pyacl_runs_no_such_detector(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"ascend:0: expected a grid detector; .* cann:0"):
        open_detectors(
            write_two_stage(tmp_path), TWO_STAGE, features=FEATURES, devices=[Device("ascend", "0")]
        )


def object_bundle(folder: Path, two_stage: bool) -> Path:
    base = tiny_config(regions=4, features=FEATURES)
    config = replace(base, detector=TWO_STAGE if two_stage else SINGLE)
    detector = backbone_onnx() if two_stage else single_onnx()
    write_bundle(
        folder, config, random_weights(config), tiny_tokenizer(), detector, "",
        head_onnx() if two_stage else None,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("two_stage", [True, False])
def test_a_bundle_with_it(two_stage: bool, tmp_path: Path, photos: Path) -> None:
    folder = object_bundle(tmp_path / "bundle", two_stage)
    config = read_bundle(folder).config
    assert config == BundleConfig.from_json(json.loads(json.dumps(config.to_json())))
    with refine_itr.load(folder, device="cpu") as model:
        paths = sorted(photos.rglob("*.jpg"))
        together = model.embed_images(paths)
        alone = np.concatenate([model.embed_images([path]) for path in paths])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_the_doctor_runs_it(tmp_path: Path, run: Callable[..., Any]) -> None:
    folder = object_bundle(tmp_path / "bundle", two_stage=True)
    result = run("doctor", "--model", folder, "--device", "cpu", "--json")
    assert result.code == 0
    assert json.loads(result.out)["devices"][0]["device"] == "cpu"


def test_the_head_is_part_of_the_bundle(tmp_path: Path) -> None:
    folder = object_bundle(tmp_path / "bundle", two_stage=True)
    before = read_bundle(folder).fingerprint
    (folder / HEAD).write_bytes(head_onnx() + b"\0")
    assert read_bundle(folder).fingerprint != before
    (folder / HEAD).unlink()
    with pytest.raises(BundleError, match=rf"{HEAD}: expected a file of the bundle"):
        read_bundle(folder)
    config = tiny_config()
    with pytest.raises(BundleError, match=f"a grid detector: .* got detector.onnx and {HEAD}"):
        write_bundle(tmp_path / "b", config, random_weights(config), "", b"", "", b"")


def edited(**changes: object) -> dict[str, Any]:
    data = json.loads(json.dumps(replace(tiny_config(), detector=TWO_STAGE).to_json()))
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = data["detector"]
        for parent in parents:
            place = place[parent]
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "yolo"}, "detector.kind: expected one of grid, single-graph, two-stage; got 'yo"),
        ({"kind": ["grid"]}, "detector.kind: expected one of grid, single-graph, two-stage"),
        ({"kind": "single-graph"}, "detector: unknown proposals"),
        ({"pixels__mean": [1, 2]}, "detector.pixels.mean: expected a list of 3 float"),
        ({"pixels__mean": [1, 2, "3"]}, "detector.pixels.mean[2]: expected float, got '3'"),
        ({"pixels__std": [1, 0, 1]}, "detector.pixels.std: expected 1e-06 to 1000000.0, got 0.0"),
        ({"pixels__mean": [1, 2, float("nan")]}, "detector.pixels.mean: expected -1000000.0 to"),
        ({"pixels__canvas": 10**9}, "detector.pixels.canvas: expected 8 to 4096"),
        ({"pixels__canvas": 16}, "detector.pixels: expected short_side <= long_side <= canvas"),
        (
            {"proposals__groups": []},
            "detector.proposals.groups: expected 1 to 1000000 candidates, got 0",
        ),
        ({"proposals__groups": [10**9]}, "detector.proposals.groups: expected 1 to 1000000, got"),
        ({"proposals__groups": [10**6] * 9}, "expected 1 to 1000000 candidates, got 9000000"),
        ({"selection__iou": 1.5}, "detector.selection.iou: expected 0 to 1, got 1.5"),
        ({"selection__least": 5}, "detector.selection: expected least <= most, got 5 and 4"),
        ({"selection__most": 5}, "expected least = most = image.regions = 4, got 4 and 5"),
    ],
)
def test_configurations_that_are_wrong(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError) as caught:
        BundleConfig.from_json(edited(**changes))
    assert "config.json: " in str(caught.value)
    assert message in str(caught.value)


def test_a_single_graph_names_its_boxes() -> None:
    with pytest.raises(BundleError, match=r"outputs\.boxes: expected an output's name"):
        replace(SINGLE, outputs=replace(SINGLE.outputs, boxes=""))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
keys = [
    f"{part}__{key}"
    for part, value in asdict(TWO_STAGE).items()
    if isinstance(value, dict)
    for key in value
]


@given(scalars | st.lists(scalars, max_size=4), st.sampled_from(keys))
def test_any_value_is_read_or_refused(value: object, key: str) -> None:
    try:
        config = BundleConfig.from_json(edited(**{key: value}))
    except BundleError as exc:
        assert str(exc).startswith("config.json: ")  # noqa: PT017  # it need not be raised
    else:
        assert BundleConfig.from_json(config.to_json()) == config
