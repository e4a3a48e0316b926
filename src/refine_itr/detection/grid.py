"""The default detector: the cells of a convolutional network's last map are the regions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refine_itr.detection.session import open_session, translated_errors
from refine_itr.errors import DetectorError
from refine_itr.types import FloatArray, Picture, Regions


class OnnxGridDetector:
    """A static ONNX graph from pixels to a raster of cells.

    The graph takes ``images``, uint8 (n, S, S, 3) RGB, and gives ``regions``, float32 (n, K, C),
    with K = grid * grid cells row by row. Each cell averages 2 x 2 cells of a map of
    (grid + 1) x (grid + 1), so neighbouring boxes overlap by half.

    Args:
        path: The ONNX file.
        input_size: S.
        grid: Cells along each side.
        features: C.
        threads: Threads of one run, at least 1.

    Raises:
        DetectorError: The file is no ONNX graph, or its inputs and outputs are others.
    """

    def __init__(
        self, path: Path, *, input_size: int, grid: int, features: int, threads: int
    ) -> None:
        self._session = open_session(path, threads)
        self._input_size = input_size
        self._regions_shape = (grid * grid, features)
        self._unit_boxes = _grid_boxes(grid)
        inputs = [(i.name, i.type, i.shape[1:]) for i in self._session.get_inputs()]
        outputs = [(o.name, o.type, tuple(o.shape[1:])) for o in self._session.get_outputs()]
        wanted_inputs = [("images", "tensor(uint8)", [input_size, input_size, 3])]
        wanted_outputs = [("regions", "tensor(float)", self._regions_shape)]
        if inputs != wanted_inputs or outputs != wanted_outputs:
            raise DetectorError(
                f"{path}: expected a graph {wanted_inputs} -> {wanted_outputs} "
                f"(shapes without the batch); got {inputs} -> {outputs}"
            )

    @property
    def picture_size(self) -> tuple[int, int]:
        """(S, S)."""
        return self._input_size, self._input_size

    @property
    def providers(self) -> list[str]:
        """The execution providers that ONNX Runtime really uses."""
        return list(self._session.get_providers())

    def detect(self, pictures: Sequence[Picture]) -> Regions:
        """Returns regions (n, K, C) and boxes (n, K, 4) of n pictures of S x S pixels."""
        k, c = self._regions_shape
        if not pictures:
            return Regions(np.empty((0, k, c), np.float32), np.empty((0, k, 4), np.float32))
        images = np.stack([picture.pixels for picture in pictures])
        with translated_errors("detector"):
            features: FloatArray = self._session.run(["regions"], {"images": images})[0]
        sizes = np.array([(p.width, p.height) * 2 for p in pictures], np.float32)
        return Regions(features, self._unit_boxes * sizes[:, None, :])


def _grid_boxes(grid: int) -> FloatArray:
    """Returns (grid * grid, 4) boxes in units of the picture's width and height."""
    start = np.arange(grid, dtype=np.float32) / (grid + 1)
    top, left = (a.ravel() for a in np.meshgrid(start, start, indexing="ij"))
    side = np.float32(2 / (grid + 1))
    return np.stack([left, top, left + side, top + side], axis=1)
