"""Many queries at once, screened in narrow numbers, find what few find, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from refine_itr import _core

from .arrays import F32, empty, normal, unaligned
from .vectors import KINDS, matrix

ROWS = 17_000  # fewer are not screened
QUERIES = 130  # likewise
FEW = 15  # never screened


def run(
    search: Callable[..., None], queries: F32, gallery: F32, k: int, threads: int
) -> tuple[F32, NDArray[np.int64]]:
    scores = empty(len(queries), k)
    ids = np.full((len(queries), k), -2, np.int64)
    search(queries, gallery, scores, ids, _core.Workspace(), threads=threads)
    return scores, ids


def expect_same(queries: F32, gallery: F32, k: int, threads: int = 0) -> None:
    """Searches for all queries at once in fp32 and in bf16, and for some at a time."""
    parts = [queries[i : i + FEW] for i in range(0, len(queries), FEW)]
    found = [run(_core.top_k, part, gallery, k, threads) for part in parts]
    scores, ids = (np.concatenate(results) for results in zip(*found, strict=True))
    for search in (_core.top_k, _core.NarrowGallery(gallery, "bf16").top_k):
        all_scores, all_ids = run(search, queries, gallery, k, threads)
        np.testing.assert_array_equal(all_ids, ids)
        np.testing.assert_array_equal(all_scores.view(np.int32), scores.view(np.int32))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("k", [1, 30])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_row(isa: str, kind: str, k: int, threads: int) -> None:
    rng = np.random.default_rng(KINDS.index(kind))
    gallery = matrix(kind, rng, ROWS, 21)
    expect_same(matrix(kind, rng, QUERIES, 21), gallery, k, threads)
    expect_same(matrix("unit", rng, QUERIES, 21), gallery, k, threads)


def test_parts_of_the_gallery_and_of_the_queries(isa: str) -> None:
    if isa == "scalar":
        pytest.skip("too slow")
    rng = np.random.default_rng(1)
    expect_same(matrix("unit", rng, 1100, 300), matrix("unit", rng, 30_000, 300), 10)


def test_rows_that_quantising_cannot_tell_apart(isa: str) -> None:
    rng = np.random.default_rng(2)
    # One row in steps of a unit in the last place of one element, in parts of 65,000.
    gallery = np.repeat(normal(rng, 1, 33), 140_000, axis=0)
    gallery[:, 5] += np.float32(1e-7) * rng.permutation(len(gallery)).astype(np.float32)
    expect_same(matrix("unit", rng, QUERIES, 33), unaligned(gallery), 3)
