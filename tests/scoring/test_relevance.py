"""Relevance: a probability, fitted by the largest likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr.errors import InvalidInputError
from refine_itr.evaluation.reliability import Judged, Reliability
from refine_itr.scoring import Relevance

weights = st.floats(-1e6, 1e6)
NONE = np.array([[0.65]])  # one hit, which does not fit


@given(
    weights, weights, weights, weights, st.integers(0, 10**12),
    st.lists(st.floats(-10, 10), min_size=1, max_size=9),
)  # fmt: skip
def test_it_is_a_probability_whatever_the_weights(
    score: float, expected: float, size: float, bias: float, count: int, scores: list[float]
) -> None:
    p = Relevance(score, expected, size, bias)(
        scores, 0.2, count
    )  # warnings are errors: nothing overflows
    assert ((p >= 0) & (p <= 1)).all()
    order = np.argsort(scores)
    assert (np.diff(p[order]) * np.sign(score) >= 0).all()


def test_the_formula() -> None:
    relevance = Relevance(score=2, expected=-3, size=-0.5, bias=0.5)
    found = relevance([[0.1, 0.9]], [[0.2]], 1000)
    by_size = 0.5 * np.log(1000)
    expected = 1 / (1 + np.exp([[by_size - 0.1, by_size - 1.7]]))
    assert found == pytest.approx(expected, abs=1e-12)


def simulated(count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    scores, expected = rng.normal(0.3, 0.1, count), rng.normal(0.2, 0.05, count)
    counts = rng.integers(10, 2000, count)
    z = 20 * scores - 10 * expected - np.log(counts) + 2
    return scores, expected, counts, rng.random(count) < 1 / (1 + np.exp(-z))


def test_fitting_finds_the_weights_that_made_the_data() -> None:
    fitted = Relevance.fit(*simulated(200_000))
    # About four standard errors of 200,000 draws.
    assert fitted.score == pytest.approx(20, abs=0.5)
    assert fitted.expected == pytest.approx(-10, abs=0.8)
    assert fitted.size == pytest.approx(-1, abs=0.05)
    assert fitted.bias == pytest.approx(2, abs=0.4)


@given(st.integers(50, 500), st.integers(0, 1000))
def test_on_average_as_many_fit_as_it_says(count: int, seed: int) -> None:
    scores, expected, _, fits = simulated(count, seed)
    fits[0], fits[1] = True, False
    counts = np.full(count, 700)
    p = Relevance.fit(scores, expected, counts, fits)(scores, expected, 700)
    assert p.mean() == pytest.approx(fits.mean(), abs=1e-4)  # but for the ridge


def test_scores_that_part_right_from_wrong() -> None:
    scores = np.linspace(0, 1, 20)
    relevance = Relevance.fit(scores, np.zeros(20), np.full(20, 9), scores > 0.5)
    assert ((relevance(scores, 0, 9) > 0.5) == (scores > 0.5)).all()


@pytest.mark.parametrize("value", [True, False])
def test_there_must_be_right_and_wrong(value: bool) -> None:
    with pytest.raises(InvalidInputError, match="hits that fit and hits that do not"):
        Relevance.fit(np.ones(5), np.ones(5), np.full(5, 9), np.full(5, value))


def test_weights_are_finite() -> None:
    with pytest.raises(InvalidInputError, match="expected finite weights"):
        Relevance(1, float("nan"), 0, 0)


def test_reliability_counts_tenths_and_cuts() -> None:
    relevances = np.array([[0.05, 0.3, 1.0], [0.0, 0.35, 0.95]])
    fits = np.array([[False, True, True], [False, False, True]])
    curve = Reliability.of([Judged(relevances, fits, True), Judged(NONE, NONE > 1, False)])
    assert [(b.low, b.high, b.hits, b.fits) for b in curve.bins] == [
        (0.0, 0.1, 2, 0.0), (0.3, 0.4, 2, 0.5), (0.6, 0.7, 1, 0.0), (0.9, 1.0, 2, 1.0),
    ]  # fmt: skip
    assert curve.bins[1].relevance == pytest.approx(0.325)
    half = next(cut for cut in curve.cuts if cut.min_relevance == 0.5)
    assert (half.hits, half.fits) == (3, pytest.approx(2 / 3))
    assert (half.present, half.absent) == (1.0, 1.0)
    most = curve.cuts[-1]
    assert (most.min_relevance, most.present, most.absent) == (0.7, 1.0, 0.0)


def test_reliability_where_nothing_is_left() -> None:
    curve = Reliability.of([Judged(np.array([[0.01]]), np.array([[False]]), True)])
    found = [(cut.hits, cut.fits, cut.present, cut.absent) for cut in curve.cuts]
    assert found == [(0, None, 0.0, 0.0)] * 5


@given(st.integers(1, 200), st.integers(0, 99))
def test_every_hit_is_in_one_tenth(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    relevances, fits = rng.random((count, 3)).round(1), rng.random((count, 3)) < 0.5
    curve = Reliability.of([Judged(relevances, fits, True)])
    assert sum(b.hits for b in curve.bins) == 3 * count
    assert sum(b.hits * b.fits for b in curve.bins) == pytest.approx(fits.sum())
    for b in curve.bins:
        assert b.low - 1e-9 <= b.relevance <= b.high + 1e-9
