from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from . import reference
from .arrays import F32, PRECISIONS, Precision, empty, normal, positive_sizes, seeds, thread_counts
from .tolerances import assert_close, assert_norm_close

Pooling = Literal["last", "mean"]
POOLINGS: tuple[Pooling, ...] = ("last", "mean")


def run(
    gates: F32,
    lengths: list[int],
    w_hh: F32,
    b_hh: F32,
    pooling: Pooling,
    threads: int = 0,
    precision: Precision = "fp32",
) -> F32:
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    out = empty(len(lengths), w_hh.shape[1])
    packed = _core.PackedGates(w_hh, b_hh, precision)
    _core.gru(gates, offsets, packed, out, _core.Workspace(), pooling=pooling, threads=threads)
    return out


@pytest.mark.parametrize("pooling", POOLINGS)
@given(
    lengths=st.lists(st.sampled_from([0, 1, 2, 3, 7, 12]), max_size=40),
    d=positive_sizes,
    seed=seeds,
    threads=thread_counts,
    # Up to gates far beyond where sigmoid and tanh have flattened out.
    scale=st.sampled_from([0.01, 1.0, 8.0, 200.0]),
)
def test_gru(
    isa: str, pooling: Pooling, lengths: list[int], d: int, seed: int, threads: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    gates = normal(rng, sum(lengths), 3 * d, scale=scale)
    w_hh, b_hh = normal(rng, 3 * d, d, scale=d**-0.5), normal(rng, 3 * d, scale=0.1)
    actual = run(gates, lengths, w_hh, b_hh, pooling, threads)
    assert_close(actual, reference.gru(gates, lengths, w_hh, b_hh, pooling), "gru", 1.0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("count", "threads"), [(3, 1), (12, 1), (12, 2), (12, 3), (130, 1), (130, 2), (130, 3)]
)
def test_at_the_model_s_size(isa: str, pooling: Pooling, count: int, threads: int) -> None:
    rng = np.random.default_rng(count)
    d = 512 if count < 100 else 200
    lengths = rng.integers(0, 9, count).tolist()
    gates = normal(rng, sum(lengths), 3 * d)
    w_hh, b_hh = normal(rng, 3 * d, d, scale=d**-0.5), normal(rng, 3 * d, scale=0.1)
    expected = reference.gru(gates, lengths, w_hh, b_hh, pooling)
    assert_norm_close(run(gates, lengths, w_hh, b_hh, pooling, threads), expected, "gru")


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@given(
    lengths=st.lists(st.sampled_from([0, 1, 2, 3, 7, 12]), max_size=40),
    d=positive_sizes,
    seed=seeds,
    threads=thread_counts,
)
def test_narrow_weights(
    isa: str, precision: Precision, lengths: list[int], d: int, seed: int, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    gates = normal(rng, sum(lengths), 3 * d)
    w_hh = normal(rng, 3 * d, d, scale=0.5 * d**-0.5)
    b_hh = normal(rng, 3 * d, scale=0.1)
    actual = run(gates, lengths, w_hh, b_hh, "last", threads, precision)
    expected = reference.gru(gates, lengths, w_hh, b_hh, "last")
    assert_close(actual, expected, f"gru-{precision}", 1.0)


def test_many_groups_of_sequences(isa: str) -> None:
    # The states of a group are 512 KiB: 600 sequences of D = 400 are two.
    rng = np.random.default_rng(8)
    lengths = rng.integers(0, 4, 600).tolist()
    gates = normal(rng, sum(lengths), 1200)
    w_hh, b_hh = normal(rng, 1200, 400, scale=0.05), normal(rng, 1200, scale=0.1)
    expected = reference.gru(gates, lengths, w_hh, b_hh, "last")
    assert_norm_close(run(gates, lengths, w_hh, b_hh, "last"), expected, "gru")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_number_of_threads_changes_nothing(isa: str, precision: Precision) -> None:
    rng = np.random.default_rng(9)
    gates, lengths = normal(rng, 60, 600), [20, 15, 25]
    w_hh, b_hh = normal(rng, 600, 200, scale=0.07), normal(rng, 600, scale=0.1)
    alone = run(gates, lengths, w_hh, b_hh, "last", 1, precision)
    for threads in (2, 3, 4):
        np.testing.assert_array_equal(
            run(gates, lengths, w_hh, b_hh, "last", threads, precision), alone
        )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_empty_sequence_gives_zeros(isa: str, pooling: Pooling) -> None:
    rng = np.random.default_rng(0)
    gates, w_hh, b_hh = normal(rng, 2, 15), normal(rng, 15, 5), normal(rng, 15)
    out = run(gates, [0, 2, 0], w_hh, b_hh, pooling)
    np.testing.assert_array_equal(out[[0, 2]], 0.0)
    assert (out[1] != 0).any()


def test_the_gates_are_accurate_near_zero_and_far_out(isa: str) -> None:
    # With W_hh = 0, z = 0 (a large negative gate) and r = 0: h = tanh(x), one step.
    x = np.concatenate([np.geomspace(1e-30, 50, 500), -np.geomspace(1e-30, 50, 500), [0.0]])
    d = x.size
    gates = np.full((1, 3 * d), -100.0, np.float32)
    gates[0, 2 * d :] = x
    out = run(gates, [1], np.zeros((3 * d, d), np.float32), np.zeros(3 * d, np.float32), "last")
    np.testing.assert_allclose(out[0], np.tanh(gates[0, 2 * d :].astype(np.float64)), rtol=5e-7)


@pytest.mark.parametrize("gate", range(3))
def test_a_nan_stays_in_its_sequence(isa: str, gate: int) -> None:
    rng = np.random.default_rng(0)
    d = 20
    gates, w_hh, b_hh = normal(rng, 9, 3 * d), normal(rng, 3 * d, d), normal(rng, 3 * d)
    gates[4, gate * d + 7] = np.nan
    out = run(gates, [3, 3, 3], w_hh, b_hh, "last")
    assert np.isnan(out[1]).all()
    assert np.isfinite(out[[0, 2]]).all()


def test_infinite_gates_saturate(isa: str) -> None:
    d = 4
    gates = np.zeros((1, 3 * d), np.float32)
    gates[0, d : 2 * d] = -np.inf
    gates[0, 2 * d :] = [np.inf, -np.inf, 0.0, 1.0]
    out = run(gates, [1], np.zeros((3 * d, d), np.float32), np.zeros(3 * d, np.float32), "last")
    np.testing.assert_allclose(out[0], np.tanh([np.inf, -np.inf, 0.0, 1.0]), rtol=5e-7)
