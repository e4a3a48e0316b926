"""NumPy over its BLAS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refine_itr.bench import arrays
from refine_itr.bench.equations import Function, Ops
from refine_itr.bench.peers.blas import set_blas_threads
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call
from refine_itr.bench.top_k import Ids, SearchCall, SearchWork
from refine_itr.types import FloatArray

NAME = "NumPy"
PACKAGES = ("numpy", "threadpoolctl")
PRECISIONS = SEARCH_PRECISIONS = ("fp32",)


def array_call(
    build: Callable[[Ops], Function], x: FloatArray, precision: str, threads: int
) -> Call:
    """Returns a call of the function that ``build`` makes of operations."""
    set_blas_threads(threads)
    return arrays.array_call(build, x, np.float32)


def text_call(work: TextWork, baseline: Baseline, precision: str, threads: int) -> Call:
    """Returns a call that embeds the batch."""
    set_blas_threads(threads)
    return arrays.encode_texts(work, baseline, np.float32)


def search_call(work: SearchWork, precision: str, threads: int) -> SearchCall:
    """Returns a call that gives scores and ids (q, k), best first."""
    set_blas_threads(threads)
    first = len(work.gallery) - work.k

    def call() -> tuple[FloatArray, Ids]:
        scores = work.queries @ work.gallery.T
        best = np.argpartition(scores, first, axis=1)[:, first:]
        found = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-found, axis=1)
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(best, order, axis=1)

    return call
