"""The default detector: the cells of a convolutional network's last map are the regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refine_itr.detection.backend import Backend
from refine_itr.types import FloatArray, Picture, Regions


class GridDetector:
    """A static graph from pixels to a raster of cells, on one device.

    The graph takes ``images``, uint8 (n, S, S, 3) RGB, and gives ``regions``, float32 (n, K, C),
    with K = grid * grid cells row by row. Each cell averages 2 x 2 cells of a map of
    (grid + 1) x (grid + 1), so neighbouring boxes overlap by half.

    Args:
        backend: The graph on its device.
        input_size: S.
        grid: Cells along each side.
        features: C.
    """

    def __init__(self, backend: Backend, *, input_size: int, grid: int, features: int) -> None:
        self.backend = backend
        self._input_size = input_size
        self._regions_shape = (grid * grid, features)
        self._unit_boxes = _grid_boxes(grid)

    @property
    def picture_size(self) -> tuple[int, int]:
        """(S, S)."""
        return self._input_size, self._input_size

    @property
    def sizes(self) -> tuple[int, ...]:
        """Batch sizes that the device takes, ascending; none means any."""
        return self.backend.sizes

    def detect(self, pictures: Sequence[Picture]) -> Regions:
        """Returns regions (n, K, C) and boxes (n, K, 4) of n pictures of S x S pixels."""
        k, c = self._regions_shape
        if not pictures:
            return Regions(np.empty((0, k, c), np.float32), np.empty((0, k, 4), np.float32))
        features = self.backend.run(np.stack([picture.pixels for picture in pictures]))
        sizes = np.array([(p.width, p.height) * 2 for p in pictures], np.float32)
        return Regions(features, self._unit_boxes * sizes[:, None, :])

    def close(self) -> None:
        """Gives the device back."""
        self.backend.close()


def _grid_boxes(grid: int) -> FloatArray:
    """Returns (grid * grid, 4) boxes in units of the picture's width and height."""
    start = np.arange(grid, dtype=np.float32) / (grid + 1)
    top, left = (a.ravel() for a in np.meshgrid(start, start, indexing="ij"))
    side = np.float32(2 / (grid + 1))
    return np.stack([left, top, left + side, top + side], axis=1)
