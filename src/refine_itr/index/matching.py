"""Exact inner-product search: the one front to the native kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from refine_itr import _core
from refine_itr.errors import InvalidInputError
from refine_itr.types import PRECISIONS, FloatArray, Precision
from refine_itr.workspace import ThreadWorkspace

IdArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

_WORKSPACE = ThreadWorkspace()


def narrow_gallery(embeddings: FloatArray, precision: Precision) -> _core.NarrowGallery | None:
    """Returns the copy of a gallery that is searched in its stead; None for fp32.

    Args:
        embeddings: float32 (n, D), C-contiguous.
        precision: How each number of the copy is kept.

    Raises:
        InvalidInputError: There is no such precision.
    """
    if precision not in PRECISIONS:
        expected = ", ".join(PRECISIONS)
        raise InvalidInputError(f"precision: expected one of {expected}; got {precision!r}")
    return None if precision == "fp32" else _core.NarrowGallery(embeddings, precision)


def top_k(
    queries: FloatArray,
    gallery: FloatArray,
    k: int,
    threads: int = 0,
    *,
    narrow: _core.NarrowGallery | None = None,
    allowed: BoolArray | None = None,
) -> tuple[FloatArray, IdArray]:
    """Returns the k best rows of the gallery for each query.

    Args:
        queries: float32 (q, D).
        gallery: float32 (n, D), C-contiguous; may be memory-mapped.
        k: How many; k larger than n, or than the number of allowed rows, gives these.
        threads: 0 means all cores.
        narrow: The gallery's ``narrow_gallery``: the same result, with less memory to read.
        allowed: bool (n,), the rows that may be found; None allows all.

    Returns:
        Scores, float32 (q, k), descending, and ids, int64 (q, k); ties go to the lower id.

    Raises:
        InvalidInputError: k is below 1.
    """
    if k < 1:
        raise InvalidInputError(f"k: expected at least 1, got {k}")
    count = len(gallery) if allowed is None else int(np.count_nonzero(allowed))
    shape = (len(queries), min(k, count))
    scores, ids = np.empty(shape, np.float32), np.empty(shape, np.int64)
    bits = None if allowed is None else np.packbits(allowed, bitorder="little")
    search = _core.top_k if narrow is None else narrow.top_k
    search(queries, gallery, scores, ids, _WORKSPACE.get(), allowed=bits, threads=threads)
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
