"""What ``config.json`` says of a detector: a grid, one graph that finds regions, or two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from refine_itr.bundle.reading import Between, OneOf
from refine_itr.errors import BundleError

HEAD = "detector-head.onnx"
"""The second graph of a two-stage detector, beside the first one."""

_MOST_CANDIDATES = 1_000_000


@dataclass(frozen=True)
class DetectorConfig:
    """The ONNX detector: a ``grid`` x ``grid`` raster of cells as regions.

    Pictures are resized to a square of ``input_size`` pixels without regard to their aspect.
    """

    kind: Annotated[str, OneOf("grid")]
    input_size: Annotated[int, Between(8, 4096)]
    grid: Annotated[int, Between(1, 64)]

    def check_regions(self, regions: int) -> None:
        """Raises ``BundleError`` unless the detector gives this many regions."""
        if regions != self.grid**2:
            raise BundleError(
                f"config.json: image.regions: expected detector.grid squared = "
                f"{self.grid**2}, got {regions}"
            )


@dataclass(frozen=True)
class PixelsConfig:
    """How a picture becomes a graph's input: a square canvas, the picture in its upper left.

    Attributes:
        input: Name of the graph's input, (n, 3, S, S) or (n, S, S, 3).
        layout: Which of these.
        dtype: "float32": (pixel - mean) / std, and 0 beside the picture. "uint8": the pixels
            themselves, and the rounded mean beside the picture.
        channels: Their order.
        mean: Of each channel in the graph's order, pixels being 0 to 255.
        std: Likewise.
        canvas: S.
        resize: "aspect" keeps the aspect, see ``types.AspectSize``; "stretch" fills the canvas.
        short_side: For "aspect": pixels of the shorter side,
        long_side: unless the longer one would have more than this.
    """

    input: str
    layout: Annotated[str, OneOf("nchw", "nhwc")]
    dtype: Annotated[str, OneOf("float32", "uint8")]
    channels: Annotated[str, OneOf("rgb", "bgr")]
    mean: Annotated[tuple[float, float, float], Between(-1e6, 1e6)]
    std: Annotated[tuple[float, float, float], Between(1e-6, 1e6)]
    canvas: Annotated[int, Between(8, 4096)]
    resize: Annotated[str, OneOf("aspect", "stretch")]
    short_side: Annotated[int, Between(8, 4096)]
    long_side: Annotated[int, Between(8, 4096)]

    def __post_init__(self) -> None:
        if not self.short_side <= self.long_side <= self.canvas:
            raise BundleError(
                "detector.pixels: expected short_side <= long_side <= canvas, "
                f"got {self.short_side}, {self.long_side} and {self.canvas}"
            )


@dataclass(frozen=True)
class ProposalsConfig:
    """From the first graph's candidates to the second one's proposals.

    Attributes:
        boxes: Output of the first graph, float32 (n, M, 4): x1, y1, x2, y2 in pixels of the
            canvas; they are clipped to the picture.
        scores: Output of the first graph, float32 (n, M): objectness.
        groups: How many of the M candidates belong to each level, level after level;
            non-maximum suppression looks at each level by itself.
        iou: A candidate goes if it overlaps a better one of its level by more.
        min_side: Candidates with a shorter side than this, in pixels of the canvas, are dropped.
        input: Input of the second graph, float32 (n, P, 4). Its other inputs are outputs of the
            first graph, by name.
    """

    boxes: str
    scores: str
    groups: Annotated[tuple[int, ...], Between(1, _MOST_CANDIDATES)]
    iou: Annotated[float, Between(0, 1)]
    min_side: Annotated[float, Between(0, 4096)]
    input: str

    def __post_init__(self) -> None:
        if not 0 < sum(self.groups) <= _MOST_CANDIDATES:
            raise BundleError(
                f"detector.proposals.groups: expected 1 to {_MOST_CANDIDATES} candidates, "
                f"got {sum(self.groups)}"
            )


@dataclass(frozen=True)
class OutputsConfig:
    """Outputs of the graph, of two the second, for P boxes.

    Attributes:
        boxes: float32 (n, P, 4). Of a two-stage detector it may be empty: the regions are then
            the proposals themselves.
        box_format: What the four numbers are: two corners, or a corner or centre and a size.
        box_units: Pixels of the canvas, or parts of its side.
        scores: float32 (n, P, classes) or (n, P).
        features: float32 (n, P, C).
    """

    boxes: str
    box_format: Annotated[str, OneOf("xyxy", "yxyx", "xywh", "cxcywh")]
    box_units: Annotated[str, OneOf("pixels", "canvas")]
    scores: str
    features: str


@dataclass(frozen=True)
class SelectionConfig:
    """Which of the P boxes become regions, see ``_core.select_regions``.

    Attributes:
        iou: Suppression for each class by itself: a box goes if it overlaps a better one by more.
        min_score: Lower scores of a class take no part; their boxes only fill up.
        background: The column of the scores that is no class; -1 for none.
        least: Regions of a picture, at least. In a bundle both are the encoder's K.
        most: At most.
        keep_score: Beyond ``least``, a region needs this score in a class where it survived.
        inclusive: x2 and y2 name the last pixel inside, as in Caffe's detectors.
    """

    iou: Annotated[float, Between(0, 1)]
    min_score: Annotated[float, Between(0, 1)]
    background: Annotated[int, Between(-1, 65535)]
    least: Annotated[int, Between(1, 4096)]
    most: Annotated[int, Between(1, 4096)]
    keep_score: Annotated[float, Between(0, 1)]
    inclusive: bool

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise BundleError(
                f"detector.selection: expected least <= most, got {self.least} and {self.most}"
            )


@dataclass(frozen=True)
class GraphDetectorConfig:
    """One ONNX graph that gives boxes, class scores and features."""

    kind: Annotated[str, OneOf("single-graph")]
    pixels: PixelsConfig
    outputs: OutputsConfig
    selection: SelectionConfig

    def __post_init__(self) -> None:
        if not self.outputs.boxes:
            raise BundleError("detector.outputs.boxes: expected an output's name, got none")

    def check_regions(self, regions: int) -> None:
        """Raises ``BundleError`` unless the detector gives this many regions."""
        _check_regions(self.selection, regions)


@dataclass(frozen=True)
class TwoStageConfig:
    """Two ONNX graphs: backbone with region proposals, and what looks at each proposal."""

    kind: Annotated[str, OneOf("two-stage")]
    pixels: PixelsConfig
    proposals: ProposalsConfig
    outputs: OutputsConfig
    selection: SelectionConfig

    def check_regions(self, regions: int) -> None:
        """Raises ``BundleError`` unless the detector gives this many regions."""
        _check_regions(self.selection, regions)


ObjectDetectorConfig: TypeAlias = GraphDetectorConfig | TwoStageConfig
AnyDetectorConfig: TypeAlias = DetectorConfig | GraphDetectorConfig | TwoStageConfig


def _check_regions(selection: SelectionConfig, regions: int) -> None:
    if not selection.least == selection.most == regions:
        raise BundleError(
            f"config.json: detector.selection: expected least = most = image.regions = {regions}, "
            f"got {selection.least} and {selection.most}"
        )
