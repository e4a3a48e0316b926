"""torchvision's ``fasterrcnn_resnet50_fpn_v2`` as two static ONNX graphs of one picture.

Restated node by node from its published architecture and the names of its weights; torchvision
itself is not needed. What it does between the graphs and after them (clipping, non-maximum
suppression, the choice of regions) is done at run time, by ``refine_itr.detection``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refine_itr.bundle import OutputsConfig, PixelsConfig, ProposalsConfig, SelectionConfig
from refine_itr.bundle import TwoStageConfig as Config
from refine_itr.errors import InvalidInputError
from refine_itr.exporting.graph import GraphBuilder
from refine_itr.exporting.resnet_fpn import CHANNELS, LEVELS, Layers, add_body, add_pyramid
from refine_itr.exporting.state import StateDict
from refine_itr.types import FloatArray

NAME = "fasterrcnn_resnet50_fpn_v2"
URL = f"https://download.pytorch.org/models/{NAME}_coco-dd69338a.pth"
FEATURES = 1024

_STRIDE = 64  # of the smallest map
_ANCHOR_SIZES = (32, 64, 128, 256, 512)
_RATIOS = (0.5, 1.0, 2.0)  # height to width
_BEFORE_NMS = 1000  # best candidates of a level
_POOLED = 7
_LARGEST_GROWTH = math.log(1000 / 16)  # of a box's side, as a logarithm
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class FasterRcnnSettings:
    """What is fixed when the graphs are made.

    Attributes:
        canvas: S: the graphs take S x S pixels; a picture's longer side has at most S.
        short_side: Pixels of a picture's shorter side, unless the longer one has S.
        proposals: P.
        regions: K.
        classes: With the background, which is class 0.
    """

    canvas: int = 800
    short_side: int = 800
    proposals: int = 300
    regions: int = 36
    classes: int = 91

    def __post_init__(self) -> None:
        if self.canvas % 32 or not 64 <= self.canvas <= 4096:
            raise InvalidInputError(
                f"--canvas: expected a multiple of 32 from 64 to 4096; got {self.canvas}"
            )
        if not 8 <= self.short_side <= self.canvas:
            raise InvalidInputError(
                f"--short-side: expected 8 to the canvas, {self.canvas}; got {self.short_side}"
            )
        most = sum(self.level_sizes)
        if not 1 <= self.regions <= self.proposals <= most:
            raise InvalidInputError(
                f"--regions, --proposals: expected 1 <= regions <= proposals <= {most}; "
                f"got {self.regions} and {self.proposals}"
            )

    @property
    def cells(self) -> tuple[int, ...]:
        """Cells along each side of the maps that propose regions."""
        return tuple(math.ceil(self.canvas / (4 << level)) for level in range(LEVELS + 1))

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Candidates of each level."""
        return tuple(min(_BEFORE_NMS, n * n * len(_RATIOS)) for n in self.cells)

    @property
    def maps(self) -> dict[str, tuple[int, ...]]:
        """What the first graph hands on to the second one."""
        return {f"map{i}": (1, CHANNELS, n, n) for i, n in enumerate(self.cells[:LEVELS])}

    def config(self) -> Config:
        """The detector's section of a bundle's ``config.json``."""
        return Config(
            kind="two-stage",
            pixels=PixelsConfig(
                input="images",
                layout="nchw",
                dtype="float32",
                channels="rgb",
                mean=(255 * _MEAN[0], 255 * _MEAN[1], 255 * _MEAN[2]),
                std=(255 * _STD[0], 255 * _STD[1], 255 * _STD[2]),
                canvas=self.canvas,
                resize="aspect",
                short_side=self.short_side,
                long_side=self.canvas,
            ),
            proposals=ProposalsConfig(
                boxes="candidates",
                scores="objectness",
                groups=self.level_sizes,
                iou=0.7,
                min_side=1e-3,
                input="proposals",
            ),
            outputs=OutputsConfig("boxes", "xyxy", "pixels", "scores", "features"),
            selection=SelectionConfig(
                iou=0.5,
                min_score=0.0,
                background=0,
                least=self.regions,
                most=self.regions,
                keep_score=0.0,
                inclusive=False,
            ),
        )


def faster_rcnn_onnx(state: StateDict, settings: FasterRcnnSettings) -> tuple[bytes, bytes]:
    """Returns the two graphs, serialised.

    The first one takes ``images`` (1, 3, S, S) and gives ``candidates`` (1, M, 4), their
    ``objectness`` (1, M) and the maps. The second one takes ``proposals`` (1, P, 4) and the maps,
    and gives ``features`` (1, P, 1024), ``scores`` (1, P, classes) and ``boxes`` (1, P, 4):
    each proposal refined as its best class, the background left out, has it.

    Raises:
        InvalidInputError: The weights are those of another architecture.
        MissingExtraError: The package onnx is not installed.
    """
    graphs = _backbone(state, settings), _head(state, settings)
    state.expect_empty()
    return graphs


def _backbone(state: StateDict, settings: FasterRcnnSettings) -> bytes:
    layers = Layers(GraphBuilder(), state)
    graph, side = layers.graph, settings.canvas
    maps = add_pyramid(layers, add_body(layers, "images"))
    coarsest = graph.add("MaxPool", [maps[-1]], "map4", kernel_shape=[1, 1], strides=[2, 2])
    seen = [*maps, coarsest]
    for depth in range(2):
        sizes = (CHANNELS, CHANNELS, 3)
        seen = [layers.relu(x) for x in layers.conv(seen, f"rpn.head.conv.{depth}.0", sizes)]
    anchors = len(_RATIOS)
    logits = layers.conv(seen, "rpn.head.cls_logits", (anchors, CHANNELS, 1))
    deltas = layers.conv(seen, "rpn.head.bbox_pred", (4 * anchors, CHANNELS, 1))
    found = [
        _best_of_level(graph, settings, level, *outputs)
        for level, outputs in enumerate(zip(logits, deltas, strict=True))
    ]
    graph.add("Concat", [boxes for boxes, _ in found], "candidates", axis=1)
    best = graph.add("Concat", [scores for _, scores in found], "logits", axis=1)
    graph.add("Sigmoid", [best], "objectness")
    most = sum(settings.level_sizes)
    outputs = {"candidates": (1, most, 4), "objectness": (1, most)}
    return graph.finish(
        f"{NAME}-proposals", {"images": (1, 3, side, side)}, outputs | settings.maps
    )


def _best_of_level(
    graph: GraphBuilder, settings: FasterRcnnSettings, level: int, logits: str, deltas: str
) -> tuple[str, str]:
    """Adds the choice of a level's best anchors; returns their boxes and logits."""
    name, best = f"level{level}", settings.level_sizes[level]
    scores = graph.add("Transpose", [logits], f"{name}.logits", perm=[0, 2, 3, 1])
    scores = graph.reshape(scores, f"{name}.flat", 1, -1)
    k = graph.constant(f"{name}.k", [best], np.int64)
    graph.add_many("TopK", [scores, k], [f"{name}.best", f"{name}.places"], axis=1)
    places = graph.reshape(f"{name}.places", f"{name}.place", best)
    moved = graph.add("Transpose", [deltas], f"{name}.deltas", perm=[0, 2, 3, 1])
    moved = graph.reshape(moved, f"{name}.rows", 1, -1, 4)
    moved = graph.add("Gather", [moved, places], f"{name}.chosen", axis=1)
    anchors = graph.constant(f"{name}.anchors", _anchors(settings, level)[None])
    anchors = graph.add("Gather", [anchors, places], f"{name}.around", axis=1)
    return _decode(graph, name, anchors, moved), f"{name}.best"


def _anchors(settings: FasterRcnnSettings, level: int) -> FloatArray:
    """Returns (cells * cells * 3, 4): centre and size, cell by cell, row by row."""
    cells, ratios = settings.cells[level], np.sqrt(np.array(_RATIOS, np.float32))
    heights, widths = ratios * _ANCHOR_SIZES[level], _ANCHOR_SIZES[level] / ratios
    # Whole numbers, by half a side: as trained.
    base = np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)
    # The stride is that of the canvas: of 13 cells on 800 pixels it is 61, not 64.
    start = np.arange(cells, dtype=np.float32) * (settings.canvas // cells)
    y, x = np.meshgrid(start, start, indexing="ij")
    shifts = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
    corners = (shifts + base).reshape(-1, 4).astype(np.float32)
    sizes = corners[:, 2:] - corners[:, :2]
    return np.concatenate([corners[:, :2] + np.float32(0.5) * sizes, sizes], axis=1)


def _decode(graph: GraphBuilder, name: str, around: str, deltas: str) -> str:
    """Adds what moves and stretches boxes: centre and size (1, m, 4) -> corners (1, m, 4)."""

    def part(x: str, what: str) -> tuple[str, str]:
        graph.add_many("Split", [x], [f"{what}.xy", f"{what}.wh"], axis=2)
        return f"{what}.xy", f"{what}.wh"

    centre, size = part(around, f"{name}.anchor")
    shift, growth = part(deltas, f"{name}.delta")
    moved = graph.add("Mul", [shift, size], f"{name}.shift")
    middle = graph.add("Add", [moved, centre], f"{name}.middle")
    most = graph.constant(f"{name}.most", np.array(_LARGEST_GROWTH))
    growth = graph.add("Min", [growth, most], f"{name}.growth")
    factor = graph.add("Exp", [growth], f"{name}.factor")
    sides = graph.add("Mul", [factor, size], f"{name}.sides")
    half = graph.add(
        "Mul", [sides, graph.constant(f"{name}.half", np.array(0.5))], f"{name}.halves"
    )
    low = graph.add("Sub", [middle, half], f"{name}.low")
    high = graph.add("Add", [middle, half], f"{name}.high")
    return graph.add("Concat", [low, high], f"{name}.boxes", axis=2)


def _head(state: StateDict, settings: FasterRcnnSettings) -> bytes:
    layers = Layers(GraphBuilder(), state)
    graph, p = layers.graph, settings.proposals
    x, head = _pooled(graph, settings), "roi_heads.box_head"
    for depth in range(4):
        name = f"{head}.{depth}"
        x = layers.relu(layers.conv_bn(x, f"{name}.0", f"{name}.1", (CHANNELS, CHANNELS, 3)))
    flat = graph.add("Flatten", [x], "flat", axis=1)
    hidden = layers.relu(layers.linear(flat, f"{head}.5", FEATURES, CHANNELS * _POOLED**2))
    graph.reshape(hidden, "features", 1, p, FEATURES)
    predictor, classes = "roi_heads.box_predictor", settings.classes
    logits = layers.linear(hidden, f"{predictor}.cls_score", classes, FEATURES)
    logits = graph.reshape(logits, "logits", 1, p, classes)
    graph.add("Softmax", [logits], "scores", axis=2)
    deltas = layers.linear(hidden, f"{predictor}.bbox_pred", 4 * classes, FEATURES)
    refined = _refined(graph, settings, logits, deltas)
    graph.add("Identity", [refined], "boxes")
    outputs = {"features": (1, p, FEATURES), "scores": (1, p, classes), "boxes": (1, p, 4)}
    return graph.finish(f"{NAME}-head", {"proposals": (1, p, 4)} | settings.maps, outputs)


def _pooled(graph: GraphBuilder, settings: FasterRcnnSettings) -> str:
    """Adds RoIAlign on every map, and the choice of the map that suits a proposal's size.

    A static graph cannot sort proposals by map, so each is pooled from all of them.
    """
    rois = graph.reshape("proposals", "rois", settings.proposals, 4)
    picture = graph.constant("picture", np.zeros(settings.proposals), np.int64)
    area = _area(graph, rois)
    chosen = ""
    for level in range(LEVELS):
        name = f"pool{level}"
        pooled = graph.add(
            "RoiAlign",
            [f"map{level}", rois, picture],
            name,
            mode="avg",
            output_height=_POOLED,
            output_width=_POOLED,
            sampling_ratio=2,
            spatial_scale=1 / (4 << level),
            # torchvision's aligned=False: without the shift by half a pixel.
            coordinate_transformation_mode="output_half_pixel",
        )
        if chosen:
            # Map l from a side of 224 / 2^(2 - l) on; torchvision adds 1e-6 to the logarithm.
            least = graph.constant(f"{name}.least", np.array((224 * 2 ** (level - 2 - 1e-6)) ** 2))
            large = graph.add("GreaterOrEqual", [area, least], f"{name}.large")
            pooled = graph.add("Where", [large, pooled, chosen], f"{name}.chosen")
        chosen = pooled
    return chosen


def _area(graph: GraphBuilder, rois: str) -> str:
    """Adds the areas (P, 1, 1, 1) of boxes (P, 4)."""
    graph.add_many("Split", [rois], ["rois.low", "rois.high"], axis=1)
    sides = graph.add("Sub", ["rois.high", "rois.low"], "rois.sides")
    graph.add_many("Split", [sides], ["rois.width", "rois.height"], axis=1)
    area = graph.add("Mul", ["rois.width", "rois.height"], "rois.area")
    return graph.reshape(area, "rois.areas", -1, 1, 1, 1)


def _refined(graph: GraphBuilder, settings: FasterRcnnSettings, logits: str, deltas: str) -> str:
    """Adds the boxes (1, P, 4) of each proposal's best class."""
    p, classes = settings.proposals, settings.classes
    ends = [graph.constant(f"real.{n}", [v], np.int64) for n, v in (("from", 1), ("to", classes))]
    axis = graph.constant("real.axis", [2], np.int64)
    real = graph.add("Slice", [logits, *ends, axis], "real.logits")
    best = graph.add("ArgMax", [real], "real.best", axis=2, keepdims=1)
    best = graph.add("Add", [best, graph.constant("real.first", [1], np.int64)], "best")
    best = graph.reshape(best, "best.column", p, 1, 1)
    four = graph.constant("best.four", [1, 1, 4], np.int64)
    best = graph.add("Expand", [best, four], "best.places")
    rows = graph.reshape(deltas, "refine.rows", p, classes, 4)
    rows = graph.add("GatherElements", [rows, best], "refine.best", axis=1)
    rows = graph.reshape(rows, "refine.deltas", 1, p, 4)
    weights = graph.constant("refine.weights", [10, 10, 5, 5])
    rows = graph.add("Div", [rows, weights], "refine.scaled")
    graph.add_many("Split", ["proposals"], ["start.low", "start.high"], axis=2)
    size = graph.add("Sub", ["start.high", "start.low"], "start.size")
    half = graph.add("Mul", [size, graph.constant("start.half", np.array(0.5))], "start.halves")
    centre = graph.add("Add", ["start.low", half], "start.centre")
    around = graph.add("Concat", [centre, size], "start.around", axis=2)
    return _decode(graph, "refine", around, rows)
