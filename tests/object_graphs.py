"""Tiny detectors of objects: as ONNX graphs, and as functions that may answer anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from refine_itr.bundle import (
    HEAD,
    GraphDetectorConfig,
    OutputsConfig,
    PixelsConfig,
    ProposalsConfig,
    SelectionConfig,
    TwoStageConfig,
)
from refine_itr.detection import ObjectDetector
from refine_itr.detection.candidates import SingleGraph
from refine_itr.detection.graph import Tensor
from refine_itr.types import Picture

SIDE, BOXES, CLASSES, FEATURES = 32, 12, 5, 6
CANDIDATES, CELL = 2 * 8 * 8, 4
Arrays = Mapping[str, np.ndarray]

PIXELS = PixelsConfig(
    input="images", layout="nchw", dtype="float32", channels="rgb",
    mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0),
    canvas=SIDE, resize="aspect", short_side=SIDE, long_side=SIDE,
)  # fmt: skip
OUTPUTS = OutputsConfig("boxes", "xyxy", "pixels", "scores", "features")
SELECTION = SelectionConfig(
    iou=0.3, min_score=0.0, background=0, least=4, most=4, keep_score=0.0, inclusive=False
)
SINGLE = GraphDetectorConfig("single-graph", PIXELS, OUTPUTS, SELECTION)
TWO_STAGE = TwoStageConfig(
    "two-stage",
    PIXELS,
    ProposalsConfig("candidates", "objectness", (64, 64), 0.7, 1.0, "proposals"),
    replace(OUTPUTS, boxes=""),
    SELECTION,
)


class FakeGraph:
    """A graph that answers what a function says."""

    device = "cpu"
    providers: tuple[str, ...] = ()

    def __init__(
        self,
        inputs: dict[str, tuple[object, ...]],
        outputs: dict[str, tuple[object, ...]],
        answer: Callable[[Arrays], dict[str, np.ndarray]],
    ) -> None:
        self.path = Path("fake.onnx")
        self.inputs = {n: Tensor(n, "float32", s) for n, s in inputs.items()}
        self.outputs = {n: Tensor(n, "float32", s) for n, s in outputs.items()}
        self.calls: list[Arrays] = []
        self.closed = False
        self._answer = answer

    def run(self, inputs: Arrays, outputs: list[str]) -> dict[str, np.ndarray]:
        self.calls.append(inputs)
        answers = self._answer(inputs)
        return {name: answers[name] for name in outputs}

    def close(self) -> None:
        self.closed = True


def fake_single(answer: Callable[[Arrays], dict[str, np.ndarray]], batch: object = "n") -> Any:
    return FakeGraph(
        {"images": (batch, 3, SIDE, SIDE)},
        {
            "boxes": (batch, BOXES, 4),
            "scores": (batch, BOXES, CLASSES),
            "features": (batch, BOXES, FEATURES),
        },
        answer,
    )


def random_answer(seed: int, batch: int = 1) -> dict[str, np.ndarray]:
    """Boxes on whole pixels of a canvas, with scores that are all different."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, SIDE, (batch, BOXES, 2))
    size = rng.integers(1, SIDE, (batch, BOXES, 2))
    scores = rng.permutation(batch * BOXES * CLASSES) / (batch * BOXES * CLASSES)
    return {
        "boxes": np.concatenate([corner, corner + size], axis=2).astype(np.float32),
        "scores": scores.reshape(batch, BOXES, CLASSES).astype(np.float32),
        "features": rng.normal(0, 1, (batch, BOXES, FEATURES)).astype(np.float32),
    }


def anchors() -> np.ndarray:
    """(128, 4): a small and a large one around each of 8 x 8 cells, level after level."""
    centre = np.stack(np.meshgrid(*[np.arange(8) * 4 + 2] * 2, indexing="xy"), -1).reshape(-1, 2)
    return np.concatenate([np.hstack([centre - half, centre + half]) for half in (3, 9)]).astype(
        np.float32
    )


def weights(seed: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"mix": (FEATURES, 3, 1, 1), "see": (2, FEATURES, 1, 1), "classify": (FEATURES, 5)}
    return {name: rng.normal(0, 1, s).astype(np.float32) for name, s in shapes.items()}


def backbone_onnx(batch: int | str = 1) -> bytes:
    """Mean colours of 8 x 8 cells, mixed: ``map``; two anchors a cell with their objectness."""
    w = weights()
    nodes = [
        helper.make_node("AveragePool", ["images"], ["cells"], kernel_shape=[CELL] * 2,
                         strides=[CELL] * 2),
        helper.make_node("Conv", ["cells", "mix"], ["map"]),
        helper.make_node("Conv", ["map", "see"], ["seen"]),
        helper.make_node("Reshape", ["seen", "flat"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["objectness"]),
        helper.make_node("Unsqueeze", ["logits", "last"], ["column"]),
        helper.make_node("Mul", ["column", "zero"], ["none"]),
        helper.make_node("Add", ["none", "anchors"], ["candidates"]),
    ]  # fmt: skip
    constants = {
        "mix": w["mix"], "see": w["see"], "flat": np.array([0, CANDIDATES]), "last": np.array([2]),
        "zero": np.zeros(1, np.float32), "anchors": anchors(),
    }  # fmt: skip
    return graph_onnx(
        nodes,
        {"images": (batch, 3, SIDE, SIDE)},
        {
            "candidates": (batch, CANDIDATES, 4),
            "objectness": (batch, CANDIDATES),
            "map": (batch, FEATURES, 8, 8),
        },
        constants,
    )


def head_onnx(**outputs: tuple[int | str, ...]) -> bytes:
    """Each proposal's feature is the map at its centre."""
    nodes = [
        helper.make_node("Reshape", ["proposals", "rows"], ["rois"]),
        helper.make_node("RoiAlign", ["map", "rois", "picture"], ["pooled"], output_height=1,
                         output_width=1, sampling_ratio=1, spatial_scale=1 / CELL, mode="avg",
                         coordinate_transformation_mode="half_pixel"),
        helper.make_node("Reshape", ["pooled", "back"], ["features"]),
        helper.make_node("MatMul", ["features", "classify"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]  # fmt: skip
    constants = {
        "rows": np.array([BOXES, 4]), "back": np.array([1, BOXES, FEATURES]),
        "picture": np.zeros(BOXES, np.int64), "classify": weights()["classify"],
    }  # fmt: skip
    declared = {"features": (1, BOXES, FEATURES), "scores": (1, BOXES, CLASSES)}
    return graph_onnx(
        nodes,
        {"proposals": (1, BOXES, 4), "map": (1, FEATURES, 8, 8)},
        declared | outputs,
        constants,
    )


def graph_onnx(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int | str, ...]],
    outputs: dict[str, tuple[int | str, ...]],
    constants: dict[str, np.ndarray],
) -> bytes:
    def infos(named: dict[str, tuple[int | str, ...]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in named.items()
        ]

    initializers = [numpy_helper.from_array(a, name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "tiny", infos(inputs), infos(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def write_two_stage(folder: Path) -> Path:
    """Writes both graphs; returns the first one's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detector.onnx").write_bytes(backbone_onnx())
    (folder / HEAD).write_bytes(head_onnx())
    return folder / "detector.onnx"


def single_onnx(batch: int | str = "n") -> bytes:
    """Twelve fixed boxes; their features and scores are the picture's mean colour, mixed."""
    rng = np.random.default_rng(5)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "mix"], ["mixed"]),
        helper.make_node("Reshape", ["mixed", "shape"], ["features"]),
        helper.make_node("MatMul", ["features", "classify"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
        helper.make_node("MatMul", ["features", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "fixed"], ["boxes"]),
    ]
    constants = {
        "mix": rng.normal(0, 1, (3, BOXES * FEATURES)).astype(np.float32),
        "shape": np.array([0, BOXES, FEATURES]),
        "classify": weights()["classify"],
        "nothing": np.zeros((FEATURES, 4), np.float32),
        "fixed": random_answer(1)["boxes"],
    }
    return graph_onnx(
        nodes,
        {"images": (batch, 3, SIDE, SIDE)},
        {
            "boxes": (batch, BOXES, 4),
            "scores": (batch, BOXES, CLASSES),
            "features": (batch, BOXES, FEATURES),
        },
        constants,
    )


def picture(width: int = SIDE, height: int = SIDE, seed: int = 0) -> Picture:
    """A picture on the canvas whose original is twice as wide and three times as high."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture(pixels, 2 * width, 3 * height)


def single(answer: Callable[..., dict[str, np.ndarray]], batch: object = "n") -> ObjectDetector:
    return ObjectDetector(
        SingleGraph(fake_single(answer, batch), SINGLE, FEATURES), SINGLE, FEATURES
    )
