"""Detectors of objects: what the graphs say becomes regions, or an error that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
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
    picture,
    random_answer,
    single,
    single_onnx,
    weights,
    write_two_stage,
)
from tiny import random_weights, tiny_config, tiny_tokenizer

import refine_itr
from refine_itr.bundle import HEAD, BundleConfig, read_bundle, write_bundle
from refine_itr.detection import Device, ObjectDetector, open_detectors
from refine_itr.detection.candidates import SingleGraph, TwoStage
from refine_itr.detection.canvas import Canvas
from refine_itr.errors import BundleError, DetectorError, DeviceError, InvalidInputError
from refine_itr.types import AspectSize

seeds = st.integers(0, 2**32 - 1)


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
