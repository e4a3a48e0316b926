"""Bottom-up attention by configuration, against the original's rule restated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from object_graphs import FakeGraph

from refine_itr.bundle import bottom_up_config
from refine_itr.decoding import decode
from refine_itr.detection import ObjectDetector
from refine_itr.detection.candidates import TwoStage
from refine_itr.types import AspectSize, Regions

CANDIDATES, PROPOSALS, CLASSES, FEATURES = 500, 300, 21, 2048


def suppressed(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    """What is kept, best first; sides count their last pixel, as in Caffe."""
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    order, kept = list(np.argsort(-scores, kind="stable")), []
    while order:
        i, rest = order[0], np.array(order[1:], int)
        kept.append(int(i))
        width = np.maximum(0, np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]) + 1)
        height = np.maximum(0, np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]) + 1)
        common = width * height
        order = rest[common / (area[i] + area[rest] - common) <= limit].tolist()
    return kept


def confidences(proposals: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The best class score with which each proposal survives; 0 for none."""
    best = np.zeros(len(proposals))
    for column in scores.T[1:]:
        kept = suppressed(proposals, column, 0.3)
        best[kept] = np.maximum(best[kept], column[kept])
    return best


def random_candidates(rng: np.random.Generator) -> np.ndarray:
    corner = rng.integers(-40, 900, (CANDIDATES, 2))
    return np.hstack([corner, corner + rng.integers(0, 300, (CANDIDATES, 2))]).astype(np.float32)


class Original:
    """A photograph's answers: candidates, and scores and features of whatever is proposed."""

    def __init__(self, seed: int, sharpness: float) -> None:
        rng = np.random.default_rng(seed)
        self.candidates = random_candidates(rng)
        self.objectness = (rng.permutation(CANDIDATES) / CANDIDATES).astype(np.float32)
        logits = rng.normal(0, sharpness, (PROPOSALS, CLASSES))
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        self.scores = scores.astype(np.float32)
        self.features = rng.random((PROPOSALS, FEATURES), dtype=np.float32)
        self.seen: dict[str, np.ndarray] = {}

    def detector(self, least: int, most: int) -> ObjectDetector:
        config = bottom_up_config(least, most, candidates=CANDIDATES)
        side = config.pixels.canvas
        backbone = FakeGraph(
            {"images": (1, 3, side, side)},
            {"candidates": (1, CANDIDATES, 4), "objectness": (1, CANDIDATES), "res4": (1, 2)},
            self._propose,
        )
        head = FakeGraph(
            {"proposals": (1, PROPOSALS, 4), "res4": (1, 2)},
            {"scores": (1, PROPOSALS, CLASSES), "features": (1, PROPOSALS, FEATURES)},
            self._score,
        )
        return ObjectDetector(TwoStage(backbone, head, config, FEATURES), config, FEATURES)

    def _propose(self, inputs: Any) -> dict[str, np.ndarray]:
        self.seen["images"] = inputs["images"]
        return {
            "candidates": self.candidates[None], "objectness": self.objectness[None],
            "res4": np.zeros((1, 2), np.float32),
        }  # fmt: skip

    def _score(self, inputs: Any) -> dict[str, np.ndarray]:
        self.seen["proposals"] = inputs["proposals"]
        return {"scores": self.scores[None], "features": self.features[None]}


def proposals_of(original: Original, width: int, height: int) -> np.ndarray:
    """Clipped to the picture, 16 pixels or more, suppressed at 0.7; at most 300."""
    low = np.array([0, 0, 0, 0], np.float32)
    high = np.array([width - 1, height - 1] * 2, np.float32)
    boxes = np.clip(original.candidates, low, high)
    large = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] + 1 >= 16).all(axis=1))
    kept = suppressed(boxes[large], original.objectness[large], 0.7)
    return boxes[large][kept][:PROPOSALS]


def photograph() -> np.ndarray:
    """500 x 375 pixels: 800 x 600 on the canvas."""
    return np.random.default_rng(9).integers(0, 256, (375, 500, 3), dtype=np.uint8)


def found(original: Original, least: int, most: int) -> Regions:
    detector = original.detector(least, most)
    assert detector.picture_size == AspectSize(600, 1000)
    picture = decode(photograph(), detector.picture_size)
    assert picture.pixels.shape == (600, 800, 3)
    if least == most:
        return detector.detect([picture])
    return detector.find([picture])[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_36_best(seed: int) -> None:
    original = Original(seed, sharpness=2.0)
    regions = found(original, 36, 36)
    proposals = proposals_of(original, 800, 600)
    n = len(proposals)
    np.testing.assert_array_equal(original.seen["proposals"][0, :n], proposals)
    assert n < PROPOSALS  # the graph is filled up with them again
    np.testing.assert_array_equal(original.seen["proposals"][0, n], proposals[0])
    best = confidences(proposals, original.scores[:n])
    order = np.argsort(-best, kind="stable")[:36]
    np.testing.assert_array_equal(regions.features[0], original.features[order])
    np.testing.assert_allclose(regions.boxes[0], proposals[order] * 500 / 800, rtol=1e-6)


@pytest.mark.parametrize(
    ("sharpness", "expected"), [(0.1, "the least"), (0.8, "between"), (9.0, "the most")]
)
def test_10_to_100_by_their_score(sharpness: float, expected: str) -> None:
    original = Original(0, sharpness)
    regions = found(original, 10, 100)
    n = len(proposals_of(original, 800, 600))
    best = confidences(original.seen["proposals"][0, :n], original.scores[:n])
    good = int((best >= 0.2).sum())
    count = min(max(good, 10), 100)
    # The three cases are all there: too few, enough, too many.
    assert expected == ("the least" if good < 10 else "the most" if good > 100 else "between")
    order = np.argsort(-best, kind="stable")[:count]
    np.testing.assert_array_equal(regions.features[0], original.features[order])


def test_the_pixels() -> None:
    original = Original(0, 1.0)
    found(original, 36, 36)
    images = original.seen["images"]
    assert images.shape == (1, 3, 1008, 1008)
    pixels = decode(photograph(), AspectSize(600, 1000)).pixels
    mean = np.array([102.9801, 115.9465, 122.7717])
    expected = pixels[..., ::-1] - mean  # blue, green, red
    np.testing.assert_allclose(images[0, :, :600, :800].transpose(1, 2, 0), expected, atol=1e-4)
    assert (images[0, :, 600:] == 0).all()
    assert (images[0, :, :, 800:] == 0).all()
