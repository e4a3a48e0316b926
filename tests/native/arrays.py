"""Arrays for the tests: sizes around the register widths, awkward addresses."""

from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

# 0, 1, w - 1, w, w + 1, 3w + 5 for registers of 4, 8 and 16 floats, and of a 32-wide panel.
SIZES = (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 29, 31, 32, 33, 53)

sizes = st.sampled_from(SIZES)
positive_sizes = st.sampled_from([n for n in SIZES if n])
seeds = st.integers(0, 2**32 - 1)
thread_counts = st.sampled_from([0, 1, 2, 3])

Precision = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")
precisions = st.sampled_from(PRECISIONS)


def unaligned(array: F32) -> F32:
    """A copy that starts 4 bytes after a cache line's or a register's boundary."""
    memory = np.empty(array.size + 32, np.float32)
    start = (-memory.ctypes.data // 4) % 16 + 1
    copy = memory[start : start + array.size].reshape(array.shape)
    copy[...] = array
    return copy


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> F32:
    return unaligned((rng.standard_normal(shape) * scale).astype(np.float32))


def empty(*shape: int) -> F32:
    """An output array, unaligned, full of NaN: what is not written shows."""
    return unaligned(np.full(shape, np.nan, np.float32))
