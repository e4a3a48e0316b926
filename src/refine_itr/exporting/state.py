"""Weights by name, from PyTorch's or safetensors' files; every name and shape checked."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refine_itr.errors import CheckpointError, InvalidInputError, MissingExtraError
from refine_itr.torch_files import check_container, check_size
from refine_itr.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

_UNUSED = "num_batches_tracked"  # BatchNorm's counter: only training asks for it
# By safetensors' names; the counter is an I64.
_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}


class StateDict:
    """Arrays by name, each taken once.

    Args:
        arrays: Them.
        where: Their file, for messages.
    """

    def __init__(self, arrays: Mapping[str, FloatArray], where: str) -> None:
        self._arrays = dict(arrays)
        self._where = where

    def take(self, name: str, *shape: int) -> FloatArray:
        """Returns an array of this shape.

        Raises:
            InvalidInputError: There is none, or it has another shape, or holds NaN or infinity.
        """
        array = self._arrays.pop(name, None)
        if array is None or array.shape != shape:
            got = "none" if array is None else f"{array.dtype} {array.shape}"
            raise InvalidInputError(f"{self._where}: {name}: expected float32 {shape}; got {got}")
        if not np.isfinite(array).all():
            raise InvalidInputError(
                f"{self._where}: {name}: expected finite values; got NaN or infinity"
            )
        return array.astype(np.float32)

    def expect_empty(self) -> None:
        """Raises ``InvalidInputError`` if there are arrays that nobody took."""
        left = sorted(name for name in self._arrays if not name.endswith(_UNUSED))
        if left:
            raise InvalidInputError(
                f"{self._where}: expected the weights of this architecture only; got also "
                f"{', '.join(left[:5])}{' ...' if len(left) > 5 else ''}"
            )


def read_state(weights: str, url: str) -> StateDict:
    """Reads weights.

    Args:
        weights: A file, ``.safetensors`` or what ``torch.save(model.state_dict())`` wrote;
            or "DEFAULT" for what lies at ``url``.
        url: Where PyTorch has the published weights; their hash is in the name.

    Raises:
        InvalidInputError: There is no such file, or it is none of weights.
        MissingExtraError: PyTorch is needed and not installed.
    """
    if weights == "DEFAULT":
        return _downloaded(url)
    path = Path(weights)
    if not path.is_file():
        raise InvalidInputError(
            f"--weights: expected DEFAULT or a file of weights; got {weights!r}"
        )
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    return _from_torch(path)


def _from_safetensors(path: Path) -> StateDict:
    from safetensors import SafetensorError, deserialize

    try:
        # Not load_file(): whether that has bfloat16 depends on what else is installed.
        tensors = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]
    except (SafetensorError, OSError) as exc:
        raise InvalidInputError(f"{path}: expected a safetensors file; {exc}") from exc
    return StateDict({n: _from_bytes(t, f"{path}: {n}") for n, t in tensors.items()}, str(path))


def _from_bytes(tensor: Mapping[str, Any], where: str) -> FloatArray:
    kind, content = tensor["dtype"], tensor["data"]
    if kind == "BF16":  # the upper half of a float32
        values = (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in _NUMBERS:
        values = np.frombuffer(content, _NUMBERS[kind])
    else:
        raise InvalidInputError(
            f"{where}: expected {', '.join(_NUMBERS)} or BF16; got {kind}. Save it again as float32"
        )
    array: FloatArray = values.reshape(tensor["shape"])
    return array


def _from_torch(path: Path) -> StateDict:
    try:
        import torch
    except ImportError as exc:
        raise MissingExtraError("reading PyTorch's weights", "train") from exc
    try:
        check_container(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # its unpickler raises whatever a damaged file leads to
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise InvalidInputError(f"{path}: expected PyTorch weights; {reason}") from exc
    tensors = _named_tensors(state, str(path))
    try:
        check_size(tensors.values(), path, str(path))
    except CheckpointError as exc:
        raise InvalidInputError(str(exc)) from exc
    return _from_tensors(tensors, str(path))


def _downloaded(url: str) -> StateDict:
    try:
        import torch
    except ImportError as exc:
        raise MissingExtraError("downloading PyTorch's weights", "train") from exc
    try:
        state = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as exc:
        raise InvalidInputError(
            f"--weights DEFAULT: expected the published weights at {url}; {exc}. Bring the file "
            "from another machine and give its name"
        ) from exc
    return _from_tensors(_named_tensors(state, url), url)


def _named_tensors(state: object, where: str) -> Mapping[str, Tensor]:
    import torch

    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise InvalidInputError(
            f"{where}: expected tensors by name, as model.state_dict() has them; "
            f"got {type(state).__name__}"
        )
    return state


def _from_tensors(tensors: Mapping[str, Tensor], where: str) -> StateDict:
    try:
        arrays = {name: value.detach().float().numpy() for name, value in tensors.items()}
    except (RuntimeError, TypeError) as exc:  # sparse or quantised ones, or without any data
        raise InvalidInputError(f"{where}: expected plain tensors; {exc}") from exc
    return StateDict(arrays, where)
