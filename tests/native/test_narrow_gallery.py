"""A narrow gallery finds what top_k finds, bit for bit, whatever the numbers are."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refine_itr import _core

from .arrays import F32, empty, normal, positive_sizes, seeds, sizes, thread_counts, unaligned
from .vectors import KINDS, matrix

Ids = NDArray[np.int64]
Bits = NDArray[np.uint8]

precisions = pytest.mark.parametrize("precision", ["bf16", "int8"])


def expect_same(
    queries: F32,
    gallery: F32,
    narrow: _core.NarrowGallery,
    k: int,
    *,
    threads: int = 0,
    allowed: Bits | None = None,
) -> tuple[F32, Ids]:
    """Searches both ways, and returns what both found."""
    results = []
    for search in (_core.top_k, narrow.top_k):
        scores = empty(len(queries), k)
        ids = np.full((len(queries), k), -2, np.int64)
        search(queries, gallery, scores, ids, _core.Workspace(), allowed=allowed, threads=threads)
        results.append((scores, ids))
    (scores, ids), (narrow_scores, narrow_ids) = results
    np.testing.assert_array_equal(narrow_ids, ids)
    # As bits: a NaN must be the same one, and -0 is not 0.
    np.testing.assert_array_equal(narrow_scores.view(np.int32), scores.view(np.int32))
    return scores, ids


kinds = st.sampled_from(KINDS)


@precisions
@given(
    query_kind=kinds,
    kind=kinds,
    q=st.sampled_from([1, 2, 6, 7, 25]),
    n=st.one_of(positive_sizes, st.sampled_from([255, 700, 2500])),
    d=st.one_of(sizes, st.sampled_from([64, 65, 127, 200])),
    k=st.sampled_from([1, 3, 10, 1000]),
    repeat=st.booleans(),
    seed=seeds,
    threads=thread_counts,
)
def test_same_as_top_k(
    isa: str,
    precision: str,
    query_kind: str,
    kind: str,
    q: int,
    n: int,
    d: int,
    k: int,
    repeat: bool,
    seed: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(seed)
    gallery = matrix(kind, rng, n, d)
    if repeat:
        gallery = unaligned(gallery[rng.integers(0, n, n)])
    queries = matrix(query_kind, rng, q, d)
    narrow = _core.NarrowGallery(gallery, precision)
    expect_same(queries, gallery, narrow, min(k, n), threads=threads)


@precisions
def test_rows_that_quantising_cannot_tell_apart(isa: str, precision: str) -> None:
    rng = np.random.default_rng(1)
    base = normal(rng, 1, 96)
    # Rows in steps of one unit in the last place of one element: 40,000 more than any shortlist.
    gallery = unaligned(np.repeat(base, 40_000, axis=0))
    gallery[:, 5] = np.nextafter(base[0, 5], np.float32(np.inf)) + np.float32(1e-7) * np.arange(
        40_000, dtype=np.float32
    )
    order = rng.permutation(len(gallery))
    gallery = unaligned(gallery[order])
    queries = np.zeros((2, 96), np.float32)
    queries[0, 5], queries[1, 5] = 1.0, -1.0
    narrow = _core.NarrowGallery(gallery, precision)
    _, ids = expect_same(queries, gallery, narrow, 3)
    best = gallery[:, 5].max()
    assert gallery[ids[0, 0], 5] == best


@precisions
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("q", [1, 30, 1100])
def test_a_large_gallery(isa: str, precision: str, q: int, threads: int) -> None:
    if isa == "scalar" and q > 30:
        pytest.skip("too slow")
    rng = np.random.default_rng(q)
    gallery = matrix("unit", rng, 6000, 128)
    narrow = _core.NarrowGallery(gallery, precision)
    expect_same(matrix("unit", rng, q, 128), gallery, narrow, 10, threads=threads)


@precisions
@given(share=st.sampled_from([0.0, 0.002, 0.1, 0.9, 1.0]), n=st.integers(1, 2000), seed=seeds)
def test_filtered(isa: str, precision: str, share: float, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gallery = unaligned(rng.integers(-2, 3, (n, 33)).astype(np.float32))
    queries = unaligned(rng.integers(-2, 3, (8, 33)).astype(np.float32))
    mask = rng.random(n) < share
    rows = np.flatnonzero(mask)
    k = min(n, 12)
    bits = np.packbits(mask, bitorder="little")
    # Bits past the last row mean nothing.
    bits[-1] |= (0xFF << (n % 8)) & 0xFF if n % 8 else 0
    narrow = _core.NarrowGallery(gallery, precision)
    scores, ids = expect_same(queries, gallery, narrow, k, allowed=bits)
    exact = queries @ gallery[rows].T
    for query in range(len(queries)):
        order = np.argsort(-exact[query], kind="stable")[:k]
        np.testing.assert_array_equal(ids[query, : len(order)], rows[order])
        np.testing.assert_array_equal(scores[query, : len(order)], exact[query][order])
        assert (ids[query, len(order) :] == -1).all()
        assert (scores[query, len(order) :] == -np.inf).all()


@precisions
def test_a_denormal_row_is_not_taken_for_less_than_it_is(isa: str, precision: str) -> None:
    tiny, far = 2.0**-149, 2.0**-90
    gallery = np.array([[tiny, tiny, 0, 0], [0, 0, 0, far]], np.float32)
    queries = np.array([[2.0**126, 2.0**126, 0, 1.9 * 2.0**67]], np.float32)
    narrow = _core.NarrowGallery(gallery, precision)
    _, ids = expect_same(queries, gallery, narrow, 1)
    assert ids.item() == 0
    large = np.array([[0, 0, 0, 2.0**-50], [2.0**126, 2.0**126, 0, 0]], np.float32)
    query = np.array([[tiny, tiny, 0, 1.9 * 2.0**-32]], np.float32)
    expect_same(query, large, _core.NarrowGallery(large, precision), 1)


def test_rows_that_are_not_numbers_come_before_those_missing(isa: str) -> None:
    gallery = np.array([[np.nan], [1.0], [-np.inf], [np.nan], [5.0]], np.float32)
    narrow = _core.NarrowGallery(gallery, "int8")
    bits = np.packbits([True, True, True, True, False], bitorder="little")
    scores, ids = expect_same(np.ones((1, 1), np.float32), gallery, narrow, 5, allowed=bits)
    np.testing.assert_array_equal(ids, [[1, 2, 0, 3, -1]])
    np.testing.assert_array_equal(scores, [[1.0, -np.inf, np.nan, np.nan, -np.inf]])


@precisions
def test_growing_is_the_same_as_making_it_anew(isa: str, precision: str) -> None:
    rng = np.random.default_rng(3)
    gallery = matrix("unit", rng, 900, 70)
    grown = _core.NarrowGallery(gallery[:0], precision)
    assert (len(grown), grown.n, grown.dim, grown.precision) == (0, 0, 70, precision)
    for begin, end in ((0, 1), (1, 1), (1, 400), (400, 401), (401, 900)):
        grown.append(gallery[begin:end])
    gallery[17] *= 3.0
    gallery[899] = np.nan
    for row in (17, 899):
        grown.replace(row, gallery[row])
    assert len(grown) == 900
    queries = matrix("unit", rng, 9, 70)
    expect_same(queries, gallery, grown, 25)
    expect_same(queries, gallery, _core.NarrowGallery(gallery, precision), 25)


def test_the_first_rows_are_still_found_when_it_has_grown(isa: str) -> None:
    rng = np.random.default_rng(6)
    gallery = matrix("unit", rng, 500, 70)
    narrow = _core.NarrowGallery(gallery, "int8")
    expect_same(gallery[:5], unaligned(gallery[:333]), narrow, 9)


def test_memory() -> None:
    gallery = np.ones((1000, 1024), np.float32)
    sizes = {p: _core.NarrowGallery(gallery, p).nbytes for p in ("bf16", "int8")}
    assert sizes["bf16"] == gallery.nbytes // 2 + 16_000
    assert sizes["int8"] == gallery.nbytes // 4 + 16_000


def test_a_replaced_row_must_exist() -> None:
    narrow = _core.NarrowGallery(np.ones((3, 4), np.float32), "int8")
    for index in (-1, 3):
        with pytest.raises(IndexError, match=rf"^index: expected 0 \.\. 2; got {index}$"):
            narrow.replace(index, np.ones(4, np.float32))


def test_a_gallery_of_other_size_is_refused() -> None:
    narrow = _core.NarrowGallery(np.ones((3, 4), np.float32), "int8")
    scores, ids = np.empty((1, 1), np.float32), np.empty((1, 1), np.int64)
    for shape in ((4, 4), (3, 5)):
        queries, gallery = np.ones((1, shape[1]), np.float32), np.ones(shape, np.float32)
        message = r"^gallery: expected float32 \(m, 4\), m <= 3, .*; got \("
        with pytest.raises(ValueError, match=message):
            narrow.top_k(queries, gallery, scores, ids, _core.Workspace())


def test_searches_and_additions_at_the_same_time() -> None:
    rng = np.random.default_rng(5)
    gallery = matrix("unit", rng, 3000, 64)
    narrow = _core.NarrowGallery(gallery, "int8")
    found = []

    def search() -> None:
        workspace = _core.Workspace()
        scores, ids = np.empty((1, 3), np.float32), np.empty((1, 3), np.int64)
        for _ in range(100):
            narrow.top_k(gallery[7:8], gallery, scores, ids, workspace, threads=1)
            found.append(int(ids[0, 0]))

    searches = [threading.Thread(target=search) for _ in range(3)]
    for thread in searches:
        thread.start()
    for row in range(200):
        narrow.replace(row, gallery[row])
    narrow.append(gallery)
    for thread in searches:
        thread.join()
    assert len(narrow) == 6000
    assert found == [7] * 300


def test_a_word_that_names_no_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="precision: expected one of bf16, int8; got 'fp16'"):
        _core.NarrowGallery(np.ones((3, 4), np.float32), "fp16")  # type: ignore[arg-type]


def test_too_many_features_are_refused() -> None:
    with pytest.raises(ValueError, match="gallery: expected at most 65536 features; got 65537"):
        _core.NarrowGallery(np.ones((1, 65_537), np.float32), "int8")
