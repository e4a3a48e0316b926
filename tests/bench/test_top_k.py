"""Comparisons of the search: right answers pass, wrong ones stop it."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from refine_itr.bench.comparison import Bench, open_bench
from refine_itr.bench.peers import open_peers
from refine_itr.bench.top_k import (
    PEERS,
    QUICK_SIZES,
    TOLERANCES,
    SearchCall,
    SearchWork,
    best_scores,
    check_hits,
    check_same,
    compare_top_k,
    top_k_call,
)
from refine_itr.errors import WrongAnswerError
from refine_itr.profiling import unit_rows

Hits = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return open_bench(PEERS, threads=2, wanted=None, quick=True)


@pytest.fixture
def work() -> SearchWork:
    return SearchWork(unit_rows(7, 64, seed=3), unit_rows(300, 64), 5)


def ours(work: SearchWork) -> SearchCall:
    call = top_k_call(work, "fp32", 1)
    assert call is not None
    return call


def test_the_reference(work: SearchWork, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = work.queries.astype(np.float64) @ work.gallery.astype(np.float64).T
    expected = -np.sort(-scores, axis=1)[:, :5]
    np.testing.assert_allclose(best_scores(work), expected)
    monkeypatch.setattr("refine_itr.bench.top_k._CHUNK", 64)
    np.testing.assert_allclose(best_scores(work), expected)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 2e-2), ("int8", 0.1)]
)
def test_peers_are_right(work: SearchWork, peer: str, precision: str, tolerance: float) -> None:
    found, missing = open_peers([peer])
    if missing or precision not in found[0].SEARCH_PRECISIONS:
        pytest.skip(f"{peer} has no {precision} here: {missing}")
    call = found[0].search_call(work, precision, 1)
    check_hits(peer, call, work, best_scores(work), TOLERANCES[precision])


def worst_item(scores: NDArray[np.float32], ids: NDArray[np.int64]) -> Hits:
    other = np.setdiff1d(np.arange(300), ids)[0]
    return scores, np.where(np.arange(5) == 4, other, ids)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s, i: (s + 1e-3, i), "expected scores within"),
        (lambda s, i: (s * np.nan, i), "expected scores within"),
        (lambda s, i: (s, np.repeat(i[:, :1], 5, axis=1)), "expected different items"),
        (lambda s, i: (s[:, :4], i[:, :4]), r"expected hits \(7, 5\), got \(7, 4\)"),
        (worst_item, "expected scores within"),
    ],
)
def test_a_wrong_answer_stops_it(
    work: SearchWork, spoil: Callable[..., Hits], message: str
) -> None:
    call = ours(work)
    check_hits("ours", call, work, best_scores(work), 1e-5)
    with pytest.raises(WrongAnswerError, match=f"ours: {message}"):
        check_hits("ours", lambda: spoil(*call()), work, best_scores(work), 1e-5)


def test_a_narrow_gallery_must_find_the_same(work: SearchWork) -> None:
    check_same(ours(work), ours(work))
    scores, ids = (found.copy() for found in ours(work)())
    with pytest.raises(WrongAnswerError, match="ours: expected the scores of fp32"):
        check_same(lambda: (np.nextafter(scores, 2, dtype=np.float32), ids), ours(work))
    with pytest.raises(WrongAnswerError, match="ours: expected the ids of fp32"):
        check_same(lambda: (scores, ids[:, ::-1]), ours(work))


def test_a_missed_item_stops_it(work: SearchWork) -> None:
    half = SearchWork(work.queries, work.gallery[:150], 5)
    with pytest.raises(WrongAnswerError, match="expected hits within"):
        check_hits("ours", ours(half), work, best_scores(work), 1e-5)


def test_rows(bench: Bench) -> None:
    rows = list(compare_top_k(QUICK_SIZES, bench))
    fp32 = [row for row in rows if row.work.precision == "fp32"]
    assert [dict(row.work.shape) for row in fp32] == [
        {"gallery": 200, "dim": 64, "queries": 1},
        {"gallery": 200, "dim": 64, "queries": 5},
    ]
    for row in fp32:
        assert set(row.peers) == {f"{peer.NAME} fp32" for peer in bench.peers}
        assert row.work.per == 1


def test_the_command(run) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(run("bench", "topk", "--quick", "--json").out)
    assert {row["stage"] for row in data["rows"]} == {"top-k"}
    assert {row["queries"] for row in data["rows"]} == {1, 5}
    assert "top-k, milliseconds a call" in run("bench", "topk", "--quick").out
