from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refine_itr import _core

from . import reference
from .arrays import F32, seeds


def expected_regions(
    boxes: F32,
    class_scores: F32,
    k: int,
    iou_threshold: float,
    score_threshold: float,
    *,
    least: int | None = None,
    keep_threshold: float = 0.0,
    inclusive: bool = False,
) -> list[int]:
    """Class by class, one box at a time."""
    p, c = class_scores.shape
    overlap = reference.iou(boxes, inclusive)
    surviving = np.full(p, -np.inf)
    for cls in range(c):
        scores = class_scores[:, cls]
        waiting = [i for i in range(p) if scores[i] >= np.float32(score_threshold)]
        waiting.sort(key=lambda i: (-scores[i], i))
        while waiting:
            best, *rest = waiting
            surviving[best] = max(surviving[best], scores[best])
            waiting = [i for i in rest if overlap[best, i] <= iou_threshold]
    raw = np.where(np.isnan(class_scores), -np.inf, class_scores).max(axis=1, initial=-np.inf)
    good = int((surviving >= np.float32(keep_threshold)).sum())
    wanted = min(max(good, k if least is None else least), k)
    return sorted(range(p), key=lambda i: (-surviving[i], -raw[i], i))[:wanted]


def grid_boxes(rng: np.random.Generator, p: int) -> F32:
    # Whole numbers on a small canvas: much overlap, and an exact intersection over union.
    corner = rng.integers(0, 12, (p, 2))
    return np.hstack([corner, corner + rng.integers(0, 9, (p, 2))]).astype(np.float32)


def selected(boxes: F32, class_scores: F32, k: int, **rule: Any) -> NDArray[np.int64]:
    return _core.select_regions(boxes, class_scores, k, **rule)


@given(
    p=st.integers(0, 90),
    c=st.integers(0, 6),
    k=st.sampled_from([0, 1, 5, 36, 200]),
    iou=st.sampled_from([0.0, 0.3, 0.51, 1.0]),
    threshold=st.sampled_from([0.0, 0.4, 2.0]),
    least=st.sampled_from([None, 0, 1, 10]),
    keep=st.sampled_from([0.0, 0.2, 0.8]),
    inclusive=st.booleans(),
    seed=seeds,
)
def test_against_one_box_at_a_time(
    p: int,
    c: int,
    k: int,
    iou: float,
    threshold: float,
    least: int | None,
    keep: float,
    inclusive: bool,
    seed: int,
) -> None:
    rule: dict[str, Any] = {"keep_threshold": keep, "inclusive": inclusive}
    rule["least"] = least if least is None else min(least, k)
    rng = np.random.default_rng(seed)
    boxes = grid_boxes(rng, p)
    scores = (rng.integers(0, 20, (p, c)) / 20).astype(np.float32)  # some are equal
    scores[rng.random((p, c)) < 0.05] = np.nan
    actual = selected(boxes, scores, k, iou_threshold=iou, score_threshold=threshold, **rule)
    assert actual.dtype == np.int64
    assert actual.tolist() == expected_regions(boxes, scores, k, iou, threshold, **rule)


def test_a_suppressed_box_comes_after_the_survivors() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]], np.float32)
    scores = np.array([[0.9], [0.8], [0.1]], np.float32)
    assert selected(boxes, scores, 3).tolist() == [0, 2, 1]
    assert selected(boxes, scores, 2).tolist() == [0, 2]


def test_a_box_may_survive_in_another_class() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    scores = np.array([[0.9, 0.1], [0.8, 0.7]], np.float32)
    assert selected(boxes, scores, 2, score_threshold=0.4).tolist() == [0, 1]
    scores[1, 1] = 0.95
    assert selected(boxes, scores, 2, score_threshold=0.4).tolist() == [1, 0]


@pytest.mark.parametrize("k", [-1, -(2**40)])
def test_a_negative_number_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=r"^k: expected 0 or more"):
        selected(np.zeros((2, 4), np.float32), np.zeros((2, 1), np.float32), k)


def test_ten_to_a_hundred_by_their_score() -> None:
    boxes = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(5)], np.float32)
    scores = np.array([[0.1], [0.5], [0.3], [0.2], [0.05]], np.float32)
    assert selected(boxes, scores, 4, least=1, keep_threshold=0.2).tolist() == [1, 2, 3]
    assert selected(boxes, scores, 4, least=4, keep_threshold=0.2).tolist() == [1, 2, 3, 0]
    assert selected(boxes, scores, 2, least=1, keep_threshold=0.2).tolist() == [1, 2]


@pytest.mark.parametrize("least", [-1, 3])
def test_the_least_is_between_none_and_the_most(least: int) -> None:
    with pytest.raises(ValueError, match=f"^least: expected 0 to k = 2; got {least}"):
        selected(np.zeros((2, 4), np.float32), np.zeros((2, 1), np.float32), 2, least=least)
