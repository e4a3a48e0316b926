"""Graphs with named inputs and outputs, and the checks that tell a wrong one what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DetectorError
from refine_itr.types import FloatArray

Arrays = Mapping[str, npt.NDArray[Any]]

_MOST_BATCH = 128  # a baked batch is filled up, so a huge one would fill the memory


@dataclass(frozen=True)
class Tensor:
    """An input or output as a graph declares it; a size is a number, or anything if dynamic."""

    name: str
    dtype: str
    shape: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.dtype} {_shown(self.shape)}"


class Graph(Protocol):
    """A static graph on one device."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def device(self) -> str:
        """Where it runs."""

    @property
    def providers(self) -> list[str]:
        """What runs it, as its runtime says."""

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """What it takes, by name."""

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        """What it gives, by name."""

    def run(self, inputs: Arrays, outputs: list[str]) -> dict[str, npt.NDArray[Any]]:
        """Returns outputs by name.

        Raises:
            DetectorError: It failed; ``DeviceError`` if the device is to blame.
        """

    def close(self) -> None:
        """Gives the device back; any number of times, from any thread."""


def expect_input(
    graph: Graph, name: str, dtype: str, shape: tuple[int | str, ...]
) -> tuple[int, ...]:
    """Returns the sizes of an input behind the batch, see ``expect_output``."""
    return _expect(graph, "input", graph.inputs, name, dtype, shape)


def expect_output(graph: Graph, name: str, shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """Returns the sizes of a float32 output behind the batch.

    Args:
        graph: Has the output.
        name: Its name.
        shape: Expected sizes behind the batch; a text stands for any fixed size.

    Raises:
        DetectorError: There is no such output, or it has another dtype, rank or size, or a size
            that the graph leaves open.
    """
    return _expect(graph, "output", graph.outputs, name, "float32", shape)


def batch_of(graphs: Iterable[Graph]) -> int | None:
    """Returns the batch that was baked into the graphs; None if they take any.

    Raises:
        DetectorError: Inputs and outputs do not agree.
    """
    first: set[object] = set()
    names = []
    for graph in graphs:
        names.append(graph.path.name)
        for tensor in (*graph.inputs.values(), *graph.outputs.values()):
            size = tensor.shape[0] if tensor.shape else 0
            first.add(size if isinstance(size, int) else None)
    size = first.pop()
    if first or not (size is None or (isinstance(size, int) and 0 < size <= _MOST_BATCH)):
        raise DetectorError(
            f"{' and '.join(names)}: expected one batch size, at most {_MOST_BATCH} or not fixed, "
            f"first in every input and output; got {sorted(map(str, {size, *first}))}"
        )
    return size


def check_finite(graph: Graph, outputs: Arrays) -> None:
    """Raises ``DetectorError`` if an output holds NaN or infinity."""
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise DetectorError(
                f"{graph.path}: output {name!r}: expected finite values; got NaN or infinity"
            )


def run_checked(graph: Graph, inputs: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Runs a graph; its outputs are float32 of the shapes given, batch included.

    Raises:
        DetectorError: It failed, or gave something else than it declares.
    """
    outputs = graph.run(inputs, list(shapes))
    for name, shape in shapes.items():
        got = outputs[name]
        if got.dtype != np.float32 or got.shape != shape:
            raise DetectorError(
                f"{graph.path}: output {name!r}: expected float32 {shape}, as the graph declares; "
                f"got {got.dtype} {got.shape}"
            )
    return outputs


def as_boxes(values: FloatArray, box_format: str, side: float) -> FloatArray:
    """Returns x1, y1, x2, y2 in pixels of boxes (..., 4) of another format, in units of ``side``.

    Args:
        values: Boxes.
        box_format: "xyxy", "yxyx", "xywh" or "cxcywh".
        side: Pixels of one unit.
    """
    a, b, c, d = np.moveaxis(values, -1, 0)
    if box_format == "yxyx":
        a, b, c, d = b, a, d, c
    elif box_format == "xywh":
        c, d = a + c, b + d
    elif box_format == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    boxes: FloatArray = np.stack([a, b, c, d], axis=-1) * np.float32(side)
    return boxes


def _expect(
    graph: Graph,
    what: str,
    tensors: Mapping[str, Tensor],
    name: str,
    dtype: str,
    shape: tuple[int | str, ...],
) -> tuple[int, ...]:
    tensor = tensors.get(name)
    wanted = f"{dtype} {_shown(('n', *shape))}"
    if tensor is None:
        raise DetectorError(
            f"{graph.path}: expected an {what} {name!r}, {wanted}; got {', '.join(tensors)}"
        )
    sizes = tensor.shape[1:]
    fits = len(sizes) == len(shape) and all(
        isinstance(got, int) and (got > 0 if isinstance(size, str) else got == size)
        for got, size in zip(sizes, shape, strict=False)
    )
    if tensor.dtype != dtype or not fits:
        raise DetectorError(
            f"{graph.path}: {what} {name!r}: expected {wanted} with fixed sizes; got {tensor}"
        )
    return tuple(size for size in sizes if isinstance(size, int))


def _shown(shape: tuple[object, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
