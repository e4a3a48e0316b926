"""Detectors of objects that are refused: wrong answers, graphs and configurations."""

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
    CLASSES,
    FEATURES,
    SINGLE,
    TWO_STAGE,
    fake_single,
    head_onnx,
    picture,
    random_answer,
    single,
    single_onnx,
    write_two_stage,
)
from onnx import TensorProto, helper, numpy_helper
from tiny import tiny_config

from refine_itr.bundle import HEAD, BundleConfig
from refine_itr.detection import open_detectors
from refine_itr.detection.candidates import SingleGraph
from refine_itr.errors import BundleError, DetectorError


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
