from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from . import reference
from .arrays import PRECISIONS, Precision, empty, normal, precisions, seeds, sizes, thread_counts
from .tolerances import assert_norm_close, assert_within, product_limit

# Beyond one pass of the micro-kernel (256), and not a multiple of anything.
depths = st.one_of(sizes, st.sampled_from([255, 256, 257, 531]))


@given(
    m=sizes,
    n_out=sizes,
    n_in=depths,
    precision=precisions,
    seed=seeds,
    threads=thread_counts,
    residual=st.booleans(),
)
def test_linear(
    isa: str,
    m: int,
    n_out: int,
    n_in: int,
    precision: Precision,
    seed: int,
    threads: int,
    residual: bool,
) -> None:
    rng = np.random.default_rng(seed)
    x, weight, bias = normal(rng, m, n_in), normal(rng, n_out, n_in), normal(rng, n_out)
    added = normal(rng, m, n_out) if residual else np.zeros((m, n_out), np.float32)
    out = empty(m, n_out)
    packed = _core.PackedMatrix(weight, bias, precision)
    extra = added if residual else None
    _core.linear(x, packed, out, _core.Workspace(), residual=extra, threads=threads)
    expected = reference.linear(x, weight, bias) + added
    rest = np.abs(bias) + np.abs(added)
    assert_within(out, expected, product_limit(x, weight, precision, rest))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rows", range(1, 31))
def test_every_number_of_rows_of_a_tile(isa: str, rows: int, precision: Precision) -> None:
    rng = np.random.default_rng(rows)
    x, weight, bias = normal(rng, rows, 300), normal(rng, 70, 300), normal(rng, 70)
    out = empty(rows, 70)
    _core.linear(x, _core.PackedMatrix(weight, bias, precision), out, _core.Workspace())
    limit = product_limit(x, weight, precision, np.abs(bias))
    assert_within(out, reference.linear(x, weight, bias), limit)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_linear_at_the_model_s_size(isa: str, threads: int) -> None:
    rng = np.random.default_rng(7)
    x, weight, bias = normal(rng, 360, 1280), normal(rng, 512, 1280, scale=0.03), normal(rng, 512)
    out = empty(360, 512)
    _core.linear(x, _core.PackedMatrix(weight, bias), out, _core.Workspace(), threads=threads)
    assert_norm_close(out, reference.linear(x, weight, bias), "linear")


def test_without_a_bias_nothing_is_added(isa: str) -> None:
    weight = np.eye(5, dtype=np.float32)
    x = np.arange(15, dtype=np.float32).reshape(3, 5)
    out = empty(3, 5)
    _core.linear(x, _core.PackedMatrix(weight), out, _core.Workspace())
    np.testing.assert_array_equal(out, x)


def test_the_residual_may_be_the_output(isa: str) -> None:
    rng = np.random.default_rng(1)
    x, weight, bias = normal(rng, 50, 600), normal(rng, 40, 600), normal(rng, 40)
    packed = _core.PackedMatrix(weight, bias)
    residual = normal(rng, 50, 40)
    apart = empty(50, 40)
    _core.linear(x, packed, apart, _core.Workspace(), residual=residual)
    _core.linear(x, packed, residual, _core.Workspace(), residual=residual)
    np.testing.assert_array_equal(residual, apart)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(isa: str, value: float) -> None:
    rng = np.random.default_rng(2)
    x, weight = normal(rng, 20, 33), np.abs(normal(rng, 35, 33)) + np.float32(0.1)
    x[7, 5] = value
    out = empty(20, 35)
    _core.linear(x, _core.PackedMatrix(weight), out, _core.Workspace())
    np.testing.assert_array_equal(out[7], np.full(35, value, np.float32))
    assert np.isfinite(np.delete(out, 7, axis=0)).all()


def test_packed_weights_say_their_size_and_keep_their_kernel(isa: str) -> None:
    rng = np.random.default_rng(3)
    x, weight = normal(rng, 9, 21), normal(rng, 37, 21)
    packed = _core.PackedMatrix(weight)
    assert (packed.n_in, packed.n_out) == (21, 37)
    assert packed.nbytes >= weight.nbytes
    before = empty(9, 37)
    _core.linear(x, packed, before, _core.Workspace())
    try:
        for other in _core.available_isas():
            _core.force_isa(other)
            after = empty(9, 37)
            _core.linear(x, packed, after, _core.Workspace())
            np.testing.assert_array_equal(after, before)
    finally:
        _core.force_isa(isa)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_narrow_weights_are_smaller(isa: str, precision: Precision) -> None:
    weight = np.ones((256, 1024), np.float32)
    wide, narrow = _core.PackedMatrix(weight), _core.PackedMatrix(weight, None, precision)
    assert (wide.precision, narrow.precision) == ("fp32", precision)
    share = {"bf16": 2, "int8": 4}[precision]
    assert narrow.nbytes < wide.nbytes / share * 1.02


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_row_when_narrow(
    isa: str, precision: Precision, value: float
) -> None:
    rng = np.random.default_rng(2)
    x, weight = normal(rng, 20, 33), normal(rng, 35, 33)
    x[7, 5] = value
    out = empty(20, 35)
    _core.linear(x, _core.PackedMatrix(weight, None, precision), out, _core.Workspace())
    assert not np.isfinite(out[7]).any()
    assert np.isfinite(np.delete(out, 7, axis=0)).all()


@pytest.mark.parametrize("size", [0.0, 1e-38, 1e-30, 1e30])
def test_int8_takes_any_magnitude(isa: str, size: float) -> None:
    rng = np.random.default_rng(4)
    x, weight = normal(rng, 3, 40), normal(rng, 5, 40)
    x[1] = x[1] / np.abs(x[1]).max() * np.float32(size)
    out = empty(3, 5)
    _core.linear(x, _core.PackedMatrix(weight, None, "int8"), out, _core.Workspace())
    limit = product_limit(x, weight, "int8", np.float32(1e-33))
    assert_within(out, reference.linear(x, weight, np.zeros(5, np.float32)), limit)


def test_int8_takes_no_more_inputs_than_its_sums_hold(isa: str) -> None:
    most = 66_311
    out = np.empty((1, 1), np.float32)
    for sign_x, sign in itertools.product((1.0, -1.0), repeat=2):
        x = np.full((1, most), sign_x, np.float32)
        weight = np.full((1, most), sign, np.float32)
        _core.linear(x, _core.PackedMatrix(weight, precision="int8"), out, _core.Workspace())
        assert out.item() == pytest.approx(sign_x * sign * most, rel=1e-6)
    deeper = np.ones((1, most + 1), np.float32)
    _core.PackedMatrix(deeper, precision="bf16")
    message = f"weight: expected at most {most} inputs in int8; got {most + 1}"
    with pytest.raises(ValueError, match=message):
        _core.PackedMatrix(deeper, precision="int8")
