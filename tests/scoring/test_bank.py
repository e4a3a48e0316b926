"""Offsets against the formula in float64, and what a bank refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr.errors import InvalidInputError
from refine_itr.scoring import QueryBank


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def expected_offsets(items: np.ndarray, queries: np.ndarray, temperature: float) -> np.ndarray:
    z = temperature * items.astype(np.float64) @ queries.astype(np.float64).T
    largest = z.max(axis=1)
    return -(largest + np.log(np.exp(z - largest[:, None]).mean(axis=1))) / temperature


@given(
    st.integers(0, 20), st.integers(1, 40), st.integers(1, 40),
    st.floats(0.01, 1000), st.integers(0, 99),
)  # fmt: skip
def test_offsets_are_the_inverted_softmax(
    n: int, queries: int, dim: int, temperature: float, seed: int
) -> None:
    items = unit(n, dim, seed)
    bank = QueryBank(unit(queries, dim, seed + 1), temperature=temperature)
    offsets = bank.offsets(items, "images")
    assert offsets.dtype == np.float32
    # The logarithm of a mean of float32 numbers, divided by a small temperature.
    tolerance = 1e-6 + 2e-6 / temperature
    expected = expected_offsets(items, bank.texts, temperature)
    np.testing.assert_allclose(offsets, expected, atol=tolerance)


def test_the_order_is_that_of_the_inverted_softmax() -> None:
    queries, items, bank = unit(3, 8, 0), unit(30, 8, 1), QueryBank(unit(40, 8, 2), temperature=9)
    similar = np.exp(9 * items.astype(np.float64) @ bank.texts.astype(np.float64).T)
    softmax = np.exp(9 * queries @ items.T) / similar.sum(axis=1)
    corrected = queries @ items.T + bank.offsets(items, "images")
    np.testing.assert_array_equal(np.argsort(softmax, axis=1), np.argsort(corrected, axis=1))


def test_each_kind_has_its_own_queries() -> None:
    bank = QueryBank(unit(5, 4, 0), unit(7, 4, 1), temperature=3)
    items = unit(6, 4, 2)
    images, texts = bank.offsets(items, "images"), bank.offsets(items, "texts")
    np.testing.assert_allclose(images, expected_offsets(items, bank.texts, 3), atol=1e-5)
    np.testing.assert_allclose(texts, expected_offsets(items, bank.images, 3), atol=1e-5)
    assert not QueryBank(unit(5, 4, 0)).offsets(items, "texts").any()


def test_more_items_than_are_compared_at_once() -> None:
    bank, items = QueryBank(unit(5, 4, 0)), unit(2500, 4, 1)
    alone = np.concatenate(
        [bank.offsets(items[i : i + 1], "images") for i in (0, 1023, 1024, 2499)]
    )
    np.testing.assert_allclose(
        bank.offsets(items, "images")[[0, 1023, 1024, 2499]], alone, atol=1e-6
    )


def test_a_hub_has_the_lowest_offset() -> None:
    queries = unit(200, 16, 0) + np.float32(0.3)  # all lean one way
    items = np.concatenate([unit(20, 16, 1), np.full((1, 16), 0.25, np.float32)])
    assert QueryBank(queries).offsets(items, "images").argmin() == 20


def test_the_fingerprint_names_all_that_decides() -> None:
    texts, images = unit(3, 4, 0), unit(2, 4, 1)
    same = {QueryBank(texts, images).fingerprint, QueryBank(texts.copy(), images).fingerprint}
    others = [
        QueryBank(texts, images, temperature=5),
        QueryBank(texts),
        QueryBank(None, texts),
        QueryBank(images, texts),
        QueryBank(texts[:2], images),
        # The same numbers in the same order, shared out otherwise.
        QueryBank(np.concatenate([texts, images[:1]]), images[1:]),
    ]
    assert len(same) == 1
    assert len(same | {bank.fingerprint for bank in others}) == 7


ROWS = unit(3, 4, 0)


@pytest.mark.parametrize(
    ("texts", "images", "temperature", "message"),
    [
        (None, None, 9, "at least one query; got none"),
        (ROWS[:0], ROWS[:0], 9, "at least one query; got none"),
        (ROWS, unit(3, 5, 0), 9, r"of one length; got \[4, 5\]"),
        (ROWS[0], None, 9, r"texts: expected floats \(n, D\); got float32 \(4,\)"),
        (None, ROWS.astype(int), 9, r"images: expected floats \(n, D\); got int64 \(3, 4\)"),
        (ROWS[:, :0], None, 9, r"got float32 \(3, 0\)"),
        (ROWS * np.nan, None, 9, "texts: expected finite values"),
        (ROWS * 1e9, None, 9, "texts: expected finite values that float16 can hold"),
        (ROWS, None, 0, r"temperature: expected 0.001 to .*, got 0"),
        (ROWS, None, -3, "temperature: expected 0.001"),
        # Above float32's largest number, and below its smallest.
        (ROWS, None, 1e39, "temperature: expected 0.001"),
        (ROWS, None, 1e-46, "temperature: expected 0.001"),
        (ROWS, None, float("nan"), "temperature: expected 0.001"),
        (ROWS, None, float("inf"), "temperature: expected 0.001"),
    ],
)
def test_what_is_no_bank(texts: object, images: object, temperature: float, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        QueryBank(texts, images, temperature=temperature)  # type: ignore[arg-type]
