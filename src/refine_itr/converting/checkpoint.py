"""Checkpoints of other programs, read by PyTorch's restricted unpickler."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refine_itr.errors import CheckpointError, MissingExtraError
from refine_itr.torch_files import check_container, check_size
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
    check_container(path)
    saved = _load(path)
    states = saved.get("model") if isinstance(saved, dict) else None
    if not isinstance(states, list) or len(states) != 2:
        raise CheckpointError(
            f'{path}: expected a dict with "model": [image state, text state], as VSRN saves it'
        )
    options = saved.get("opt")
    image, text = (_state(s, path, f"{path}: model[{i}]") for i, s in enumerate(states))
    return Checkpoint(
        image,
        text,
        options=vars(options) if isinstance(options, argparse.Namespace) else {},
        epoch=saved.get("epoch"),
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


def _state(state: object, path: Path, where: str) -> State:
    from torch import Tensor

    if not isinstance(state, dict):
        raise CheckpointError(f"{where}: expected tensors by name; got {type(state).__name__}")
    named = {n: t for n, t in state.items() if isinstance(n, str) and isinstance(t, Tensor)}
    if len(named) != len(state):
        raise CheckpointError(f"{where}: expected tensors by name; got something else among them")
    check_size(named.values(), path, where)
    return {name: _array(tensor, f"{where}: {name}") for name, tensor in named.items()}


def _array(tensor: Tensor, where: str) -> FloatArray:
    import torch

    plain = tensor.layout == torch.strided and not (tensor.is_complex() or tensor.is_quantized)
    if not plain or tensor.device.type != "cpu":
        raise CheckpointError(f"{where}: expected a plain tensor of real numbers")
    array: FloatArray = tensor.detach().to(torch.float32).numpy()
    if not np.isfinite(array).all():
        raise CheckpointError(f"{where}: expected finite values; got NaN or infinity")
    return array
