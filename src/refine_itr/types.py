"""The few types that every stage shares: what goes in, what the stages hand on, what comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, Union, get_args

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

FloatArray: TypeAlias = npt.NDArray[np.float32]
Precision: TypeAlias = Literal["fp32", "bf16", "int8"]
"""Of the products with weights; all else is float32."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Kind: TypeAlias = Literal["images", "texts"]
PictureSource: TypeAlias = Union[Path, bytes, "Image.Image", npt.NDArray[np.uint8]]
"""A picture as a caller has it: a file, an encoded file's bytes, a PIL image, or uint8 pixels
(H, W), (H, W, 3) or (H, W, 4). Never a ``str``: a ``str`` is always a sentence."""


@dataclass(frozen=True)
class AspectSize:
    """A size that keeps a picture's aspect, as torchvision's detectors want it.

    Attributes:
        short: Pixels of the shorter side ...
        long: ... unless the longer one would have more than this.
    """

    short: int
    long: int

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Returns the (width, height) to which a picture is resized; both rounded down."""
        scale = min(self.short / min(width, height), self.long / max(width, height))
        return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


PictureSize: TypeAlias = tuple[int, int] | AspectSize
"""(width, height) whatever the picture's aspect, or a size that keeps it."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, resized for a detector.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, upright.
        width: Width in pixels of the upright original.
        height: Height in pixels of the upright original.
    """

    pixels: npt.NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True)
class Regions:
    """What a detector found in a batch of n pictures.

    Attributes:
        features: float32 (n, K, C).
        boxes: float32 (n, K, 4): left, top, right, bottom in pixels of the upright original.
    """

    features: FloatArray
    boxes: FloatArray


class RegionDetector(Protocol):
    """Finds K regions in each picture of a batch."""

    @property
    def picture_size(self) -> PictureSize:
        """The size to which pictures are resized before they come."""

    def detect(self, pictures: Sequence[Picture]) -> Regions:
        """Returns the regions of the pictures, in the pictures' order."""


@dataclass(frozen=True)
class Hit:
    """One search result.

    Attributes:
        rank: 1 for the best.
        score: Inner product of the unit embeddings, in [-1, 1]; where hubs are corrected, plus
            the item's offset.
        item: The photograph (its path, or the object that was searched) or the sentence.
        id: The item's number in the index or list that was searched.
        relevance: How probable it is that it fits, in [0, 1]; None where hubs are not corrected
            or nothing is known (see docs/scores.md).
    """

    rank: int
    score: float
    item: object
    id: int
    relevance: float | None = None


@dataclass(frozen=True)
class Failure:
    """A picture that was skipped, and why."""

    item: object
    reason: str
