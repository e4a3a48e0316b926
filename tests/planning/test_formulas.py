"""Batch times and the closed formulas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr.errors import InvalidInputError
from refine_itr.planning import BatchTime, Plan, PlannedStage, fit_batch_time, simulate
from refine_itr.planning.delay import (
    fixed_batch_delay,
    greedy_delay_bound,
    is_stable,
    least_batch,
)

TIMES = st.builds(BatchTime, st.floats(1e-4, 0.1), st.floats(1e-4, 0.1))


@given(TIMES)
def test_a_line_is_found_again(time: BatchTime) -> None:
    sizes = (1, 2, 4, 8, 16)
    fitted = fit_batch_time(sizes, [time(b) for b in sizes])
    assert fitted.setup_s == pytest.approx(time.setup_s, rel=1e-6, abs=1e-9)
    assert fitted.per_item_s == pytest.approx(time.per_item_s, rel=1e-6)


@given(st.lists(st.floats(1e-5, 10), min_size=1, max_size=6))
def test_a_fit_is_never_negative(seconds: list[float]) -> None:
    fitted = fit_batch_time([2**i for i in range(len(seconds))], seconds)
    assert fitted.setup_s >= 0
    assert fitted.per_item_s >= 0
    assert fitted(1) > 0


def test_one_size_says_nothing_of_the_setup() -> None:
    assert fit_batch_time([4], [0.2]) == BatchTime(0.0, pytest.approx(0.05))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "seconds"), [([], []), ([1], [1, 2]), ([0], [1.0]), ([1], [0.0])]
)
def test_fits_that_are_none(sizes: list[int], seconds: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="sizes, seconds: expected"):
        fit_batch_time(sizes, seconds)


@given(TIMES, st.floats(0.1, 200), st.integers(1, 8))
def test_the_least_batch_keeps_up_and_a_smaller_one_does_not(
    time: BatchTime, rate: float, workers: int
) -> None:
    least = least_batch(rate, time, workers)
    if least is None:
        assert rate * time.per_item_s >= workers
        return
    assert is_stable(rate, time, workers, least + 1)
    assert least == 1 or not is_stable(rate * 1.0001, time, workers, least - 1)


def test_fixed_batches_as_published_examples() -> None:
    stages = [(BatchTime(0.040, 0.015), 24), (BatchTime(0.060, 0.012), 24)]
    assert fixed_batch_delay(20, stages) == pytest.approx(23 / 40 + 0.4 + 0.348)
    closer = [(stages[0][0], 8), (stages[1][0], 12)]
    assert fixed_batch_delay(20, closer) < fixed_batch_delay(20, stages)


def one_stage(time: BatchTime, cap: int, workers: int = 1) -> Plan:
    return Plan("test", 4, (PlannedStage("a", "card", 0, workers, cap, time),))


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("time", [BatchTime(0.04, 0.015), BatchTime(0.01, 0.02)])
def test_the_bound_of_one_greedy_stage(time: BatchTime, load: float) -> None:
    rate = load / time.per_item_s
    simulated = simulate(one_stage(time, 10_000), rate=rate, items=40_000).delay_mean_s
    bound = greedy_delay_bound(rate, time)
    assert simulated <= 1.06 * bound  # 6 % for the chance of 40,000 arrivals
    assert simulated >= 0.9 * bound


def test_the_bound_without_stability() -> None:
    assert greedy_delay_bound(100, BatchTime(0.0, 0.01)) == math.inf


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_single_items_wait_as_in_an_m_d_1_queue(load: float) -> None:
    simulated = simulate(one_stage(BatchTime(0.0, 0.01), 1), rate=load / 0.01, items=60_000)
    expected = 0.01 * (1 + load / (2 * (1 - load)))  # Pollaczek-Khinchine
    assert simulated.delay_mean_s == pytest.approx(expected, rel=0.1)
    assert simulated.utilisation["a"] == pytest.approx(load, rel=0.03)
