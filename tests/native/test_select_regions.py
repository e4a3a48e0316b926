from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from refine_itr import _core

from . import reference
from .arrays import F32, seeds


def expected_regions(
    boxes: F32, class_scores: F32, k: int, iou_threshold: float, score_threshold: float
) -> list[int]:
    """Class by class, one box at a time."""
    p, c = class_scores.shape
    overlap = reference.iou(boxes)
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
    return sorted(range(p), key=lambda i: (-surviving[i], -raw[i], i))[:k]


def grid_boxes(rng: np.random.Generator, p: int) -> F32:
    # Whole numbers on a small canvas: much overlap, and an exact intersection over union.
    corner = rng.integers(0, 12, (p, 2))
    return np.hstack([corner, corner + rng.integers(0, 9, (p, 2))]).astype(np.float32)


def selected(boxes: F32, class_scores: F32, k: int, **thresholds: float) -> NDArray[np.int64]:
    return _core.select_regions(boxes, class_scores, k, **thresholds)


@given(
    p=st.integers(0, 90),
    c=st.integers(0, 6),
    k=st.sampled_from([0, 1, 5, 36, 200]),
    iou=st.sampled_from([0.0, 0.3, 0.51, 1.0]),
    threshold=st.sampled_from([0.0, 0.4, 2.0]),
    seed=seeds,
)
def test_against_one_box_at_a_time(
    p: int, c: int, k: int, iou: float, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    boxes = grid_boxes(rng, p)
    scores = (rng.integers(0, 20, (p, c)) / 20).astype(np.float32)  # some are equal
    scores[rng.random((p, c)) < 0.05] = np.nan
    actual = selected(boxes, scores, k, iou_threshold=iou, score_threshold=threshold)
    assert actual.dtype == np.int64
    assert actual.tolist() == expected_regions(boxes, scores, k, iou, threshold)


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
