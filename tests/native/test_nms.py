from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from . import reference
from .arrays import F32, seeds
from .test_select_regions import grid_boxes


def expected_nms(
    boxes: F32, scores: F32, groups: np.ndarray, k: int, iou_threshold: float, inclusive: bool
) -> list[int]:
    """One box at a time."""
    overlap = reference.iou(boxes, inclusive)
    waiting = [i for i in np.argsort(-scores, kind="stable") if not np.isnan(scores[i])]
    kept = []
    while waiting:
        best, *rest = waiting
        kept.append(int(best))
        waiting = [
            i for i in rest if groups[i] != groups[best] or overlap[best, i] <= iou_threshold
        ]
    return kept[:k]


@given(
    m=st.integers(0, 90),
    k=st.sampled_from([0, 1, 5, 200]),
    iou=st.sampled_from([0.0, 0.3, 0.51, 1.0]),
    inclusive=st.booleans(),
    seed=seeds,
)
def test_against_one_box_at_a_time(m: int, k: int, iou: float, inclusive: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = grid_boxes(rng, m)
    scores = (rng.integers(0, 20, m) / 20).astype(np.float32)  # some are equal
    scores[rng.random(m) < 0.05] = np.nan
    groups = rng.integers(0, 3, m)
    actual = _core.nms(boxes, scores, groups, k, iou_threshold=iou, inclusive=inclusive)
    assert actual.dtype == np.int64
    assert actual.tolist() == expected_nms(boxes, scores, groups, k, iou, inclusive)


def test_the_last_pixel_counts_where_boxes_are_inclusive() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 5, 9, 14]], np.float32)
    scores, groups = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)
    # 4 of 14 rows in common; with the last pixel 5 of 15.
    assert len(_core.nms(boxes, scores, groups, 2, iou_threshold=0.3)) == 2
    assert len(_core.nms(boxes, scores, groups, 2, iou_threshold=0.3, inclusive=True)) == 1


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^k: expected 0 or more; got -1"):
        _core.nms(np.zeros((1, 4), "f4"), np.zeros(1, "f4"), np.zeros(1, np.int64), -1)
