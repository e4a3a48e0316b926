"""The native parts that an older build lacks: precisions below fp32, and measured limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refine_itr import _core
from refine_itr.bundle import BundleConfig
from refine_itr.encoding import ImageEncoder
from refine_itr.encoding.folding import Weights
from refine_itr.types import FloatArray

_native: Any = _core


def precisions() -> tuple[str, ...]:
    """Returns the precisions that the native module computes in."""
    try:
        _native.PackedMatrix(np.eye(2, dtype=np.float32), None, "bf16")
    except TypeError:
        return ("fp32",)
    return ("fp32", "bf16", "int8")


def packed(weight: FloatArray, bias: FloatArray | None, precision: str) -> _core.PackedMatrix:
    """Returns a linear layer's weights in ``precision``."""
    wanted = () if precision == "fp32" else (precision,)
    matrix: _core.PackedMatrix = _native.PackedMatrix(weight, bias, *wanted)
    return matrix


def packed_gates(weight: FloatArray, bias: FloatArray, precision: str) -> Any:
    """Returns a GRU's hidden weights, which newer builds pack in a way of their own."""
    if not hasattr(_native, "PackedGates"):
        return packed(weight, bias, precision)
    return _native.PackedGates(weight, bias, precision)


def image_encoder(
    config: BundleConfig, weights: Weights, threads: int, precision: str
) -> ImageEncoder:
    """Returns our image encoder in ``precision``."""
    wanted = () if precision == "fp32" else (precision,)
    make: Any = ImageEncoder
    encoder: ImageEncoder = make(config, weights, threads, *wanted)
    return encoder


def peak_gops(precision: str, threads: int) -> float | None:
    """Returns 1e9 operations a second, two a multiply-add; None where it cannot be measured."""
    measure = getattr(_core, "peak_gops", None)
    return None if measure is None else measure(precision, threads)


def read_gbps(nbytes: int, threads: int) -> float | None:
    """Returns 1e9 bytes a second of reading ``nbytes`` over and over; None as above."""
    measure = getattr(_core, "read_gbps", None)
    return None if measure is None else measure(nbytes, threads)


def narrow_search(gallery: FloatArray, precision: str) -> Callable[..., None] | None:
    """Returns ``_core.top_k`` through a gallery in ``precision``; None where there is none."""
    make = getattr(_core, "NarrowGallery", None)
    return None if make is None else make(gallery, precision).top_k
