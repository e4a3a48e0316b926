from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refine_itr import _core

from .arrays import F32, F64, empty, normal, seeds, sizes, thread_counts, unaligned
from .tolerances import assert_close

Ids = NDArray[np.int64]


def run(queries: F32, gallery: F32, k: int, threads: int = 0) -> tuple[F32, Ids]:
    scores = empty(len(queries), k)
    ids = np.full((len(queries), k), -1, np.int64)
    _core.top_k(queries, gallery, scores, ids, _core.Workspace(), threads=threads)
    return scores, ids


def ranked(scores: F64) -> Ids:
    """Ids by descending score, NaN last, equal ones by lower id."""
    keys = np.where(np.isnan(scores), -np.inf, scores)
    order = np.lexsort((np.broadcast_to(np.arange(scores.shape[1]), scores.shape), -keys))
    # -inf and NaN share a key: move the NaN behind, keeping the order otherwise.
    nan = np.take_along_axis(np.isnan(scores), order, axis=1)
    return np.take_along_axis(order, np.argsort(nan, axis=1, kind="stable"), axis=1)


def share(n: int, fraction: float) -> int:
    return round(n * fraction)


queries_counts = st.sampled_from([0, 1, 2, 5, 31, 32, 33, 120])
gallery_counts = st.one_of(sizes, st.sampled_from([255, 256, 257, 700]))
fractions = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0])


@given(
    q=queries_counts, n=gallery_counts, d=sizes, part=fractions, seed=seeds, threads=thread_counts
)
def test_exact_scores_with_many_ties(
    isa: str, q: int, n: int, d: int, part: float, seed: int, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers: every sum is exact, and most scores occur more than once.
    queries = unaligned(rng.integers(-2, 3, (q, d)).astype(np.float32))
    gallery = unaligned(rng.integers(-2, 3, (n, d)).astype(np.float32))
    k = share(n, part)
    scores, ids = run(queries, gallery, k, threads)
    exact = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    expected = ranked(exact)[:, :k]
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, expected, axis=1))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("q", [1, 5, 120, 1100])
def test_unit_vectors(isa: str, q: int, threads: int) -> None:
    rng = np.random.default_rng(q)
    queries, gallery = normal(rng, q, 100, scale=0.1), normal(rng, 3000, 100, scale=0.1)
    scores, ids = run(queries, gallery, 10, threads)
    exact = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    magnitude = np.abs(queries).astype(np.float64) @ np.abs(gallery).T.astype(np.float64)
    found = np.take_along_axis(exact, ids, axis=1)
    assert_close(scores, found, "score", np.take_along_axis(magnitude, ids, axis=1))
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (np.diff(np.sort(ids, axis=1), axis=1) > 0).all(), "an id occurs twice"
    best = np.take_along_axis(exact, ranked(exact)[:, :10], axis=1)
    np.testing.assert_allclose(found, best, atol=1e-5)


@pytest.mark.parametrize("q", [15, 100])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_equal_rows_of_the_gallery_come_by_id(isa: str, q: int, threads: int) -> None:
    rng = np.random.default_rng(4)
    row = normal(rng, 1, 77)
    gallery = unaligned(np.repeat(row, 600, axis=0))
    _, ids = run(normal(rng, q, 77), gallery, 600, threads)
    np.testing.assert_array_equal(ids, np.tile(np.arange(600), (q, 1)))


@pytest.mark.parametrize("q", [3, 40])
@pytest.mark.parametrize("k", [1, 5, 290, 300])
def test_nan_and_infinite_scores(isa: str, q: int, k: int) -> None:
    rng = np.random.default_rng(k)
    gallery = unaligned(rng.integers(1, 4, (300, 1)).astype(np.float32))
    gallery[:40:3] = np.nan
    gallery[1:60:7] = -np.inf
    gallery[200:210] = np.inf
    queries = np.ones((q, 1), np.float32)
    scores, ids = run(queries, gallery, k)
    exact = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    expected = ranked(exact)[:, :k]
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, expected, axis=1))


def test_only_nan(isa: str) -> None:
    scores, ids = run(np.ones((2, 3), np.float32), np.full((50, 3), np.nan, np.float32), 4)
    assert np.isnan(scores).all()
    np.testing.assert_array_equal(ids, [[0, 1, 2, 3]] * 2)


def test_the_number_of_threads_changes_nothing(isa: str) -> None:
    rng = np.random.default_rng(9)
    queries, gallery = normal(rng, 70, 65), normal(rng, 3000, 65)
    scores, ids = run(queries, gallery, 20, 1)
    for threads in (2, 3, 4):
        other_scores, other_ids = run(queries, gallery, 20, threads)
        np.testing.assert_array_equal(other_ids, ids)
        np.testing.assert_array_equal(other_scores, scores)
