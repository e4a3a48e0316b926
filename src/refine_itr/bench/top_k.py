"""Our exact top-K beside other libraries' exhaustive search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from refine_itr import _core
from refine_itr.bench.arrays import Array
from refine_itr.bench.comparison import Bench
from refine_itr.bench.limits import (
    BYTES,
    Probe,
    arithmetic_probe,
    reading_probe,
    timed_row,
)
from refine_itr.bench.report import OURS, Row, Work
from refine_itr.errors import WrongAnswerError
from refine_itr.profiling import unit_rows
from refine_itr.types import FloatArray, Precision

PEERS = ("faiss_flat", "usearch_exact", "pytorch", "numpy_blas")
K = 10
QUICK_SIZES = ((200, 64, 1), (200, 64, 5))
SIZES = ((1_000, 1024, 1), (100_000, 1024, 1), (100_000, 1024, 24), (100_000, 1024, 1_000))
LARGE_SIZES = ((1_000_000, 512, 1), (1_000_000, 512, 24))

Ids: TypeAlias = npt.NDArray[np.int64]
SearchCall: TypeAlias = Callable[[], tuple[FloatArray, Ids]]

# As ours gives fp32's results, so do its competitors; those with a gallery as narrow compete as
# well, though they may miss neighbours.
_COMPETING: dict[Precision, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "bf16": ("fp32", "bf16"),
    "int8": ("fp32", "int8"),
}
# Scores are inner products of unit vectors. fp32: sums of a thousand products; bf16: 8 bits of
# each factor and of the score; int8: steps of 1/127 of the largest element.
TOLERANCES = {"fp32": 1e-5, "bf16": 5e-3, "int8": 1e-2}
_CHUNK = 1 << 14  # rows of a gallery in float64 at a time


@dataclass(frozen=True)
class SearchWork:
    """A gallery and queries, unit vectors.

    Attributes:
        queries: float32 (q, D).
        gallery: float32 (n, D).
        k: Hits of a query.
    """

    queries: FloatArray
    gallery: FloatArray
    k: int


class SearchPeer(Protocol):
    """A module of ``refine_itr.bench.peers`` that searches."""

    NAME: str
    SEARCH_PRECISIONS: tuple[str, ...]

    def search_call(self, work: SearchWork, precision: Precision, threads: int) -> SearchCall:
        """Returns a call that gives scores and ids (q, k), best first."""


def compare_top_k(sizes: Sequence[tuple[int, int, int]], bench: Bench) -> Iterator[Row]:
    """Checks and times, one row after the other.

    Args:
        sizes: (n, D, queries) of each.
        bench: The machine, the peers and the effort.

    Raises:
        WrongAnswerError: An answer is not the reference's.
    """
    for n, dim, queries in sizes:
        work = SearchWork(unit_rows(queries, dim, seed=1), unit_rows(n, dim), min(K, n))
        expected = best_scores(work)
        for precision in bench.precisions:
            ours, fp32 = (top_k_call(work, used, bench.threads) for used in (precision, "fp32"))
            check_same(ours, fp32)
            check_hits(OURS, ours, work, expected, TOLERANCES["fp32"])
            calls = {OURS: ours}
            for peer, used in _competing(bench, precision):
                name = f"{peer.NAME} {used}"
                calls[name] = peer.search_call(work, used, bench.threads)
                check_hits(name, calls[name], work, expected, TOLERANCES[used])
            probes = _probes(work, precision, bench)
            yield timed_row(_work(work, precision), calls, probes, bench.effort)


def _competing(bench: Bench, precision: Precision) -> Iterator[tuple[SearchPeer, Precision]]:
    for peer in bench.peers:
        for used in _COMPETING[precision]:
            if used in peer.SEARCH_PRECISIONS:
                yield peer, used


def _work(work: SearchWork, precision: Precision) -> Work:
    (n, dim), queries = work.gallery.shape, len(work.queries)
    shape = {"gallery": n, "dim": dim, "queries": queries}
    return Work("top-k", shape, precision, "as-written", 1, "a call")


def _probes(work: SearchWork, precision: Precision, bench: Bench) -> list[Probe]:
    """The arithmetic, and reading the gallery once."""
    size = work.gallery.size
    return [
        arithmetic_probe(size * len(work.queries), precision, bench.threads, bench.effort),
        reading_probe(size * BYTES[precision], bench.threads),
    ]


def top_k_call(work: SearchWork, precision: Precision, threads: int) -> SearchCall:
    """Returns a call of our search, of a gallery in ``precision``."""
    if precision == "fp32":
        search: Callable[..., None] = _core.top_k
    else:
        search = _core.NarrowGallery(work.gallery, precision).top_k
    workspace, shape = _core.Workspace(), (len(work.queries), work.k)
    scores, ids = np.empty(shape, np.float32), np.empty(shape, np.int64)

    def call() -> tuple[FloatArray, Ids]:
        search(work.queries, work.gallery, scores, ids, workspace, threads=threads)
        return scores, ids

    return call


def check_same(call: SearchCall, fp32: SearchCall) -> None:
    """Runs our search of a narrow gallery and of the gallery itself.

    Raises:
        WrongAnswerError: The results differ at all.
    """
    (scores, ids), (fp32_scores, fp32_ids) = call(), fp32()
    if not np.array_equal(scores, fp32_scores):
        raise WrongAnswerError("ours: expected the scores of fp32; got others")
    if not np.array_equal(ids, fp32_ids):
        raise WrongAnswerError("ours: expected the ids of fp32; got others")


def best_scores(work: SearchWork) -> Array:
    """Returns the k best scores of each query in float64, (q, k), best first."""
    queries = work.queries.astype(np.float64)
    best = np.full((len(queries), work.k), -np.inf)
    for start in range(0, len(work.gallery), _CHUNK):
        scores = queries @ work.gallery[start : start + _CHUNK].astype(np.float64).T
        best = np.partition(np.concatenate([best, scores], axis=1), -work.k)[:, -work.k :]
    return np.sort(best, axis=1)[:, ::-1]


def check_hits(
    name: str, call: SearchCall, work: SearchWork, expected: Array, tolerance: float
) -> None:
    """Runs a search once and compares.

    Args:
        name: Whose it is.
        call: The search.
        work: What it searches.
        expected: The best scores (q, k).
        tolerance: Most that a hit's true score may lie below the one of its rank, and that a
            stated score may differ from the true one.

    Raises:
        WrongAnswerError: It missed better items, named one twice, or stated wrong scores.
    """
    scores, ids = (np.asarray(found) for found in call())
    if ids.shape != expected.shape or scores.shape != expected.shape:
        raise WrongAnswerError(f"{name}: expected hits {expected.shape}, got {ids.shape}")
    if any(len(set(row)) < work.k for row in ids.tolist()):
        raise WrongAnswerError(f"{name}: expected different items; got one twice")
    true = np.einsum(
        "qd,qkd->qk", work.queries, work.gallery[ids], dtype=np.float64, optimize=False
    )
    for what, off in (("scores", scores - true), ("hits", true - expected)):
        worst = float(np.abs(off).max())
        if not worst <= tolerance:
            raise WrongAnswerError(
                f"{name}: expected {what} within {tolerance:g} of the float64 reference; "
                f"the worst is {worst:.3g} away"
            )
