"""usearch: its exhaustive search."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from usearch.index import MetricKind, search

from refine_itr.bench.top_k import Ids, SearchCall, SearchWork
from refine_itr.types import FloatArray

NAME = "usearch"
PACKAGES = ("usearch",)
PRECISIONS: tuple[str, ...] = ()
SEARCH_PRECISIONS = ("fp32", "int8")

_Rows = npt.NDArray[np.generic]


def search_call(work: SearchWork, precision: str, threads: int) -> SearchCall:
    """Returns a call that gives scores and ids (q, k), best first."""
    if precision == "int8":
        return _narrow_call(work, threads)
    return _call(work.gallery, work.queries, work.k, 1.0, threads)


def _narrow_call(work: SearchWork, threads: int) -> SearchCall:
    both = (work.gallery, work.queries)
    step = max(float(np.abs(values).max()) for values in both) / 127
    gallery, queries = (np.rint(values / step).astype(np.int8) for values in both)
    return _call(gallery, queries, work.k, step * step, threads)


def _call(gallery: _Rows, queries: _Rows, k: int, unit: float, threads: int) -> SearchCall:
    def call() -> tuple[FloatArray, Ids]:
        found = search(gallery, queries, k, MetricKind.IP, threads=threads, exact=True)
        shape = (len(queries), k)
        scores = (1 - found.distances.reshape(shape)) * np.float32(unit)
        return scores, found.keys.reshape(shape).astype(np.int64)

    return call
