"""The two yardsticks of the benchmarks."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from .arrays import precisions, thread_counts


@given(precisions, st.integers(1, 5), thread_counts)
def test_multiply_adds_grow_with_the_rounds(precision: str, rounds: int, threads: int) -> None:
    one = _core.multiply_adds(precision, 1, threads)  # type: ignore[arg-type]
    assert one > 0
    assert _core.multiply_adds(precision, rounds, threads) == rounds * one  # type: ignore[arg-type]


@given(st.integers(0, 5000), thread_counts)
def test_every_word_is_read_once(n: int, threads: int) -> None:
    x = np.arange(n, dtype=np.int32) * 7 - 3000
    assert _core.read_memory(x, threads) == x.sum()


@pytest.mark.parametrize("rounds", [0, -1, 2**31])
def test_rounds_are_bounded(rounds: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"rounds: expected 1 to 2^30; got {rounds}")):
        _core.multiply_adds("fp32", rounds)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="x: expected int32"):
        _core.read_memory(np.zeros(4, np.float32))  # type: ignore[arg-type]
