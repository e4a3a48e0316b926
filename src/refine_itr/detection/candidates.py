"""From pictures to scored boxes with features: by one graph, or by two with NMS between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from refine_itr import _core
from refine_itr.bundle import GraphDetectorConfig, ObjectDetectorConfig, TwoStageConfig
from refine_itr.detection.canvas import Canvas, clip, extent
from refine_itr.detection.graph import (
    Arrays,
    Graph,
    as_boxes,
    batch_of,
    check_finite,
    expect_input,
    expect_output,
    run_checked,
)
from refine_itr.errors import DetectorError
from refine_itr.types import FloatArray, Picture

Shapes = dict[str, tuple[int, ...]]

_MOST_BOXES = 8192  # the choice of regions compares all pairs: 67 million of them


@dataclass(frozen=True)
class Candidates:
    """What may become regions of one picture.

    Attributes:
        boxes: float32 (p, 4): x1, y1, x2, y2 in pixels of the canvas, inside of the picture.
        scores: float32 (p, classes), as the graph gives them.
        features: float32 (p, C).
    """

    boxes: FloatArray
    scores: FloatArray
    features: FloatArray


class CandidateSource(Protocol):
    """Graphs that find candidates."""

    @property
    def batch(self) -> int | None:
        """Pictures a call; None for any number."""

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs, in the order in which they run."""

    def find(self, pictures: Sequence[Picture]) -> list[Candidates]:
        """Returns each picture's candidates.

        Raises:
            DetectorError: A graph failed, or gave NaN or infinity.
        """


class SingleGraph:
    """One graph: pixels in; boxes, scores and features out.

    Raises:
        DetectorError: Its inputs or outputs are not those of the configuration.
    """

    def __init__(self, graph: Graph, config: GraphDetectorConfig, features: int) -> None:
        self.graphs = (graph,)
        self._config = config
        self._canvas = Canvas(config.pixels)
        _expect_pixels(graph, self._canvas)
        _expect_only(graph, {config.pixels.input})
        (boxes, _) = expect_output(graph, config.outputs.boxes, ("P", 4))
        self._shapes = _output_shapes(graph, config, boxes, features)
        self.batch = batch_of(self.graphs)

    def find(self, pictures: Sequence[Picture]) -> list[Candidates]:
        """Returns each picture's candidates."""
        config, graph = self._config, self.graphs[0]
        images = self._canvas.fill(pictures)
        shapes = _with_batch(self._shapes, len(pictures))
        outputs = run_checked(graph, {config.pixels.input: images}, shapes)
        check_finite(graph, outputs)
        counts = [shapes[config.outputs.boxes][1]] * len(pictures)
        return _split(outputs, config, None, counts, pictures)


class TwoStage:
    """Backbone with candidates -> NMS here -> proposals -> head.

    Args:
        backbone: Pixels in; candidates, their objectness and feature maps out.
        head: Proposals and maps in; scores, features and, if it refines them, boxes out.
        config: The names of all these.
        features: C.

    Raises:
        DetectorError: Inputs or outputs are not those of the configuration, or do not fit.
    """

    def __init__(self, backbone: Graph, head: Graph, config: TwoStageConfig, features: int) -> None:
        self.graphs = (backbone, head)
        self._config = config
        self._canvas = Canvas(config.pixels)
        _expect_pixels(backbone, self._canvas)
        _expect_only(backbone, {config.pixels.input})
        proposals = config.proposals
        most = sum(proposals.groups)
        (self._most, _) = expect_input(head, proposals.input, "float32", ("P", 4))
        self._shapes: Shapes = {
            proposals.boxes: expect_output(backbone, proposals.boxes, (most, 4)),
            proposals.scores: expect_output(backbone, proposals.scores, (most,)),
        }
        self._groups = np.repeat(np.arange(len(proposals.groups)), proposals.groups)
        self._maps = _expect_maps(backbone, head, {proposals.input})
        self._head_shapes = _output_shapes(head, config, self._most, features)
        self.batch = batch_of(self.graphs)

    def find(self, pictures: Sequence[Picture]) -> list[Candidates]:
        """Returns each picture's candidates."""
        config, (backbone, head) = self._config, self.graphs
        shapes = _with_batch(self._shapes | self._maps, len(pictures))
        images = {config.pixels.input: self._canvas.fill(pictures)}
        first = run_checked(backbone, images, shapes)
        check_finite(backbone, {name: first[name] for name in self._shapes})
        boxes, scores = first[config.proposals.boxes], first[config.proposals.scores]
        chosen = [self._propose(*each) for each in zip(boxes, scores, pictures, strict=True)]
        # Where there are fewer than the graph takes, they are repeated: each has an area.
        proposals = np.stack([np.resize(found, (self._most, 4)) for found in chosen])
        inputs = {name: first[name] for name in self._maps} | {config.proposals.input: proposals}
        outputs = run_checked(head, inputs, _with_batch(self._head_shapes, len(pictures)))
        check_finite(head, outputs)
        return _split(outputs, config, proposals, [len(found) for found in chosen], pictures)

    def _propose(self, boxes: FloatArray, scores: FloatArray, picture: Picture) -> FloatArray:
        """Returns the proposals (1 to P, 4) of one picture, best first."""
        rule, inclusive = self._config.proposals, self._config.selection.inclusive
        inside = clip(boxes, picture, inclusive=inclusive)
        sides = inside[:, 2:] - inside[:, :2] + np.float32(inclusive)
        large = np.flatnonzero((sides >= np.float32(rule.min_side)).all(axis=1))
        kept = _core.nms(
            inside[large],
            scores[large],
            self._groups[large],
            self._most,
            iou_threshold=rule.iou,
            inclusive=inclusive,
        )
        if len(kept) == 0:  # of a picture without any: all of it
            return np.concatenate([np.zeros(2, np.float32), extent(picture) - inclusive])[None]
        return inside[large[kept]]


def _split(
    outputs: Arrays,
    config: ObjectDetectorConfig,
    proposals: FloatArray | None,
    counts: list[int],
    pictures: Sequence[Picture],
) -> list[Candidates]:
    """Takes a batch's outputs apart, and leaves out the proposals that only fill up the graph."""
    names = config.outputs
    side = 1.0 if names.box_units == "pixels" else float(config.pixels.canvas)
    boxes = as_boxes(outputs[names.boxes], names.box_format, side) if names.boxes else proposals
    assert boxes is not None  # SingleGraph has an output for them
    scores = outputs[names.scores].reshape(*boxes.shape[:2], -1)
    features = outputs[names.features]
    inclusive = config.selection.inclusive
    return [
        Candidates(clip(boxes[i, :n], picture, inclusive=inclusive), scores[i, :n], features[i, :n])
        for i, (n, picture) in enumerate(zip(counts, pictures, strict=True))
    ]


def _expect_pixels(graph: Graph, canvas: Canvas) -> None:
    expect_input(graph, canvas.config.input, canvas.config.dtype, canvas.input_shape)


def _expect_only(graph: Graph, names: set[str]) -> None:
    if set(graph.inputs) != names:
        raise DetectorError(
            f"{graph.path}: expected no inputs but {', '.join(sorted(names))}; "
            f"got {', '.join(graph.inputs)}"
        )


def _expect_maps(backbone: Graph, head: Graph, others: set[str]) -> Shapes:
    """Returns the shapes of what the first graph hands on to the second one, by name."""
    maps: Shapes = {}
    for name, tensor in head.inputs.items():
        if name in others:
            continue
        sizes = [size if isinstance(size, int) else "fixed" for size in tensor.shape[1:]]
        maps[name] = expect_output(backbone, name, tuple(sizes))
        expect_input(head, name, "float32", maps[name])
    return maps


def _output_shapes(graph: Graph, config: ObjectDetectorConfig, boxes: int, features: int) -> Shapes:
    names, background = config.outputs, config.selection.background
    if boxes > _MOST_BOXES:
        raise DetectorError(
            f"{graph.path}: expected at most {_MOST_BOXES} boxes a picture; got {boxes}"
        )
    shapes = {names.features: expect_output(graph, names.features, (boxes, features))}
    scores = graph.outputs.get(names.scores)
    classes = () if scores is not None and len(scores.shape) == 2 else ("classes",)
    shapes[names.scores] = expect_output(graph, names.scores, (boxes, *classes))
    if names.boxes:
        shapes[names.boxes] = expect_output(graph, names.boxes, (boxes, 4))
    number = shapes[names.scores][1] if classes else 1
    if background >= number:
        raise DetectorError(
            f"{graph.path}: output {names.scores!r}: expected more than {background} classes "
            f"(detector.selection.background); got {number}"
        )
    return shapes


def _with_batch(shapes: Shapes, batch: int) -> Shapes:
    return {name: (batch, *shape) for name, shape in shapes.items()}
