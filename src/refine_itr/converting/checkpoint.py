"""Checkpoints of other programs, read by PyTorch's restricted unpickler."""

from __future__ import annotations

import argparse
import importlib.util
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refine_itr.errors import CheckpointError, MissingExtraError
from refine_itr.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Checkpoint:
    """What ``torch.save`` of VSRN, VSE++ and their kin holds.

    Attributes:
        image: The image encoder's state, float32 arrays by name.
        text: The text encoder's.
        options: The training program's command line.
        epoch: The epoch after which it was saved, if it says so.
    """

    image: State
    text: State
    options: Mapping[str, object]
    epoch: object = None


class _Ignored:
    """Stands for NumPy's scalars (some programs save the best recall as one): only swallows."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


_NUMPY_SCALARS = (
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.dtypes.Float64DType",
)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint without running anything in it.

    Raises:
        CheckpointError: There is none, it is damaged, holds more than tensors and plain values,
            declares more than its file has, or is of another layout.
        MissingExtraError: PyTorch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("reading checkpoints", "convert")
    _check_container(path)
    saved = _load(path)
    states = saved.get("model") if isinstance(saved, dict) else None
    if not isinstance(states, list) or len(states) != 2:
        raise CheckpointError(
            f'{path}: expected a dict with "model": [image state, text state], as VSRN saves it'
        )
    limit = path.stat().st_size
    options = saved.get("opt")
    image, text = (_state(s, f"{path}: model[{i}]", limit) for i, s in enumerate(states))
    return Checkpoint(
        image,
        text,
        options=vars(options) if isinstance(options, argparse.Namespace) else {},
        epoch=saved.get("epoch"),
    )


def _check_container(path: Path) -> None:
    """Refuses what would grow when it is read: PyTorch stores tensors as they are."""
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint; there is none")
    with path.open("rb") as start:
        if start.read(4) != b"PK\x03\x04":  # what PyTorch before 1.6 wrote
            return
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
        raise CheckpointError(f"{path}: expected a whole checkpoint; {exc}") from exc
    declared = sum(entry.file_size for entry in entries)
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or declared > path.stat().st_size:
        raise CheckpointError(
            f"{path}: expected a checkpoint as torch.save writes it, uncompressed; "
            f"it declares {declared} bytes"
        )


def _load(path: Path) -> Any:
    import torch

    stand_ins: list[Any] = [(_Ignored, name) for name in _NUMPY_SCALARS]
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *stand_ins]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # damaged files raise almost anything
        raise CheckpointError(
            f"{path}: expected a whole checkpoint of tensors and plain values; {_reason(exc)}"
        ) from exc


def _reason(exc: Exception) -> str:
    """The one line that says what is wrong: PyTorch adds advice to switch its guard off."""
    lines = str(exc).splitlines() or [type(exc).__name__]
    named = [line for line in lines if "nsupported" in line or "WeightsUnpickler" in line]
    return (named or lines)[0].strip().removeprefix("WeightsUnpickler error: ")


def _state(state: object, where: str, limit: int) -> State:
    from torch import Tensor

    if not isinstance(state, dict):
        raise CheckpointError(f"{where}: expected tensors by name; got {type(state).__name__}")
    named = {n: t for n, t in state.items() if isinstance(n, str) and isinstance(t, Tensor)}
    if len(named) != len(state):
        raise CheckpointError(f"{where}: expected tensors by name; got something else among them")
    # A tensor may repeat a stored number any number of times: one byte could be terabytes.
    if sum(t.numel() * t.element_size() for t in named.values()) > limit:
        raise CheckpointError(f"{where}: expected no more numbers than the file has bytes for")
    return {name: _array(tensor, f"{where}: {name}") for name, tensor in named.items()}


def _array(tensor: Tensor, where: str) -> FloatArray:
    import torch

    if tensor.layout != torch.strided or tensor.is_complex() or tensor.device.type != "cpu":
        raise CheckpointError(f"{where}: expected a plain tensor of real numbers")
    array: FloatArray = tensor.detach().to(torch.float32).numpy()
    if not np.isfinite(array).all():
        raise CheckpointError(f"{where}: expected finite values; got NaN or infinity")
    return array
