from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from . import reference
from .arrays import empty, normal, seeds, sizes, thread_counts
from .tolerances import assert_close, assert_norm_close

# Beyond one pass of the micro-kernel (256), and not a multiple of anything.
depths = st.one_of(sizes, st.sampled_from([255, 256, 257, 531]))


@given(m=sizes, n_out=sizes, n_in=depths, seed=seeds, threads=thread_counts, residual=st.booleans())
def test_linear(
    isa: str, m: int, n_out: int, n_in: int, seed: int, threads: int, residual: bool
) -> None:
    rng = np.random.default_rng(seed)
    x, weight, bias = normal(rng, m, n_in), normal(rng, n_out, n_in), normal(rng, n_out)
    added = normal(rng, m, n_out) if residual else np.zeros((m, n_out), np.float32)
    out = empty(m, n_out)
    packed = _core.PackedMatrix(weight, bias)
    _core.linear(x, packed, out, residual=added if residual else None, threads=threads)
    expected = reference.linear(x, weight, bias) + added
    magnitude = reference.linear(np.abs(x), np.abs(weight), np.abs(bias)) + np.abs(added)
    assert_close(out, expected, "linear", magnitude)


@pytest.mark.parametrize("rows", range(1, 31))
def test_every_number_of_rows_of_a_tile(isa: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    x, weight, bias = normal(rng, rows, 300), normal(rng, 70, 300), normal(rng, 70)
    out = empty(rows, 70)
    _core.linear(x, _core.PackedMatrix(weight, bias), out)
    magnitude = reference.linear(np.abs(x), np.abs(weight), np.abs(bias))
    assert_close(out, reference.linear(x, weight, bias), "linear", magnitude)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_linear_at_the_model_s_size(isa: str, threads: int) -> None:
    rng = np.random.default_rng(7)
    x, weight, bias = normal(rng, 360, 1280), normal(rng, 512, 1280, scale=0.03), normal(rng, 512)
    out = empty(360, 512)
    _core.linear(x, _core.PackedMatrix(weight, bias), out, threads=threads)
    assert_norm_close(out, reference.linear(x, weight, bias), "linear")


def test_without_a_bias_nothing_is_added(isa: str) -> None:
    weight = np.eye(5, dtype=np.float32)
    x = np.arange(15, dtype=np.float32).reshape(3, 5)
    out = empty(3, 5)
    _core.linear(x, _core.PackedMatrix(weight), out)
    np.testing.assert_array_equal(out, x)


def test_the_residual_may_be_the_output(isa: str) -> None:
    rng = np.random.default_rng(1)
    x, weight, bias = normal(rng, 50, 600), normal(rng, 40, 600), normal(rng, 40)
    packed = _core.PackedMatrix(weight, bias)
    residual = normal(rng, 50, 40)
    apart = empty(50, 40)
    _core.linear(x, packed, apart, residual=residual)
    _core.linear(x, packed, residual, residual=residual)
    np.testing.assert_array_equal(residual, apart)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(isa: str, value: float) -> None:
    rng = np.random.default_rng(2)
    x, weight = normal(rng, 20, 33), np.abs(normal(rng, 35, 33)) + np.float32(0.1)
    x[7, 5] = value
    out = empty(20, 35)
    _core.linear(x, _core.PackedMatrix(weight), out)
    np.testing.assert_array_equal(out[7], np.full(35, value, np.float32))
    assert np.isfinite(np.delete(out, 7, axis=0)).all()


def test_packed_weights_say_their_size_and_keep_their_kernel(isa: str) -> None:
    rng = np.random.default_rng(3)
    x, weight = normal(rng, 9, 21), normal(rng, 37, 21)
    packed = _core.PackedMatrix(weight)
    assert (packed.n_in, packed.n_out) == (21, 37)
    assert packed.nbytes >= weight.nbytes
    before = empty(9, 37)
    _core.linear(x, packed, before)
    try:
        for other in _core.available_isas():
            _core.force_isa(other)
            after = empty(9, 37)
            _core.linear(x, packed, after)
            np.testing.assert_array_equal(after, before)
    finally:
        _core.force_isa(isa)
