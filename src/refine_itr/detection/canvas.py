"""Pictures of any aspect onto square canvases, as a detector was trained to see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_itr.bundle import PixelsConfig
from refine_itr.types import AspectSize, FloatArray, Picture, PictureSize


class Canvas:
    """Fills a graph's input.

    The picture lies in the upper left; right of it and below it is the mean colour, which is 0
    after normalisation. (torchvision and Caffe pad a batch so.)
    """

    def __init__(self, config: PixelsConfig) -> None:
        self.config = config
        self._mean = np.array(config.mean, np.float32)
        self._std = np.array(config.std, np.float32)

    @property
    def picture_size(self) -> PictureSize:
        """The size that pictures must have."""
        config = self.config
        if config.resize == "stretch":
            return config.canvas, config.canvas
        return AspectSize(config.short_side, config.long_side)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of one picture in the graph's layout."""
        side = self.config.canvas
        return (3, side, side) if self.config.layout == "nchw" else (side, side, 3)

    def fill(self, pictures: Sequence[Picture]) -> npt.NDArray[Any]:
        """Returns the graph's input for n pictures."""
        side, floats = self.config.canvas, self.config.dtype == "float32"
        shape = (len(pictures), side, side, 3)
        beside = 0 if floats else np.clip(np.round(self._mean), 0, 255)
        canvases = np.empty(shape, np.float32 if floats else np.uint8)
        canvases[...] = beside
        for canvas, picture in zip(canvases, pictures, strict=True):
            height, width = picture.pixels.shape[:2]
            canvas[:height, :width] = self._colours(picture.pixels)
        if self.config.layout == "nchw":
            canvases = canvases.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(canvases)

    def _colours(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        ordered = pixels[..., ::-1] if self.config.channels == "bgr" else pixels
        if self.config.dtype == "uint8":
            return ordered
        return (ordered.astype(np.float32) - self._mean) / self._std


def extent(picture: Picture) -> FloatArray:
    """Returns (width, height) of the picture on its canvas, in pixels."""
    height, width = picture.pixels.shape[:2]
    return np.array([width, height], np.float32)


def clip(boxes: FloatArray, picture: Picture, *, inclusive: bool) -> FloatArray:
    """Returns boxes (m, 4) without what lies outside of the picture on its canvas."""
    limits = np.tile(extent(picture) - np.float32(inclusive), 2)
    return np.clip(boxes, np.float32(0), limits)


def to_original(boxes: FloatArray, picture: Picture) -> FloatArray:
    """Returns boxes (m, 4) on the canvas in pixels of the upright original."""
    original = np.array([picture.width, picture.height], np.float32)
    return boxes * np.tile(original / extent(picture), 2)
