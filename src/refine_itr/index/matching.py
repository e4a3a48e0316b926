"""Exact inner-product search: the one front to the native kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from refine_itr import _core
from refine_itr.errors import InvalidInputError
from refine_itr.types import FloatArray

IdArray: TypeAlias = npt.NDArray[np.int64]


def top_k(
    queries: FloatArray, gallery: FloatArray, k: int, threads: int = 0
) -> tuple[FloatArray, IdArray]:
    """Returns the k best rows of the gallery for each query.

    Args:
        queries: float32 (q, D).
        gallery: float32 (n, D), C-contiguous; may be memory-mapped.
        k: How many; k larger than n gives n.
        threads: 0 means all cores.

    Returns:
        Scores, float32 (q, k), descending, and ids, int64 (q, k); ties go to the lower id.

    Raises:
        InvalidInputError: k is below 1.
    """
    if k < 1:
        raise InvalidInputError(f"k: expected at least 1, got {k}")
    shape = (len(queries), min(k, len(gallery)))
    scores, ids = np.empty(shape, np.float32), np.empty(shape, np.int64)
    _core.top_k(queries, gallery, scores, ids, _core.Workspace(), threads=threads)
    return scores, ids


def search_worker(
    gallery: FloatArray, k: int, threads: int
) -> Callable[[list[FloatArray]], list[tuple[FloatArray, IdArray]]]:
    """Returns the work of a pipeline's "search": embeddings (D,) to scores (k,) and ids (k,).

    Args:
        gallery: float32 (n, D).
        k: How many.
        threads: Threads of a batch; 0 means all cores.
    """

    def search(embeddings: list[FloatArray]) -> list[tuple[FloatArray, IdArray]]:
        scores, ids = top_k(np.stack(embeddings), gallery, k, threads)
        return list(zip(scores, ids, strict=True))

    return search
