from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from . import reference
from .arrays import empty, normal, seeds, sizes, thread_counts, unaligned
from .tolerances import assert_close

Axis = Literal["region", "feature"]
AXES: tuple[Axis, ...] = ("region", "feature")


@pytest.mark.parametrize("axis", AXES)
@given(
    n=st.integers(0, 3),
    k=sizes,
    d=sizes,
    seed=seeds,
    threads=thread_counts,
    # From subnormal numbers to where the square of one element overflows.
    exponent=st.sampled_from([-126, -80, -60, -20, 0, 20, 60, 120]),
)
def test_l2norm(
    isa: str, axis: Axis, n: int, k: int, d: int, seed: int, threads: int, exponent: int
) -> None:
    rng = np.random.default_rng(seed)
    x = normal(rng, n, k, d, scale=2.0**exponent)
    x *= rng.random((n, k, d)) < 0.9
    out = empty(n, k, d)
    _core.l2norm(x, axis, out, threads=threads)
    assert_close(out, reference.l2norm(x, axis), "l2norm", 1.0)


@pytest.mark.parametrize("axis", AXES)
def test_zero_vectors_give_zeros(isa: str, axis: Axis) -> None:
    x = np.zeros((2, 5, 19), np.float32)
    x[1, 3, 7] = -2.0
    out = empty(2, 5, 19)
    _core.l2norm(x, axis, out)
    np.testing.assert_array_equal(out, np.sign(x))


@pytest.mark.parametrize("axis", AXES)
def test_in_place(isa: str, axis: Axis) -> None:
    x = normal(np.random.default_rng(0), 3, 6, 21)
    apart = empty(3, 6, 21)
    _core.l2norm(x, axis, apart)
    _core.l2norm(x, axis, x)
    np.testing.assert_array_equal(x, apart)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_vector(isa: str, axis: Axis, value: float) -> None:
    x = unaligned(np.ones((2, 5, 19), np.float32))
    x[1, 3, 7] = value
    out = empty(2, 5, 19)
    _core.l2norm(x, axis, out)
    expected = reference.l2norm(x, axis)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    np.testing.assert_allclose(out, expected, rtol=1e-6)
