"""The time of a batch: tau(b) = t + a b."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refine_itr.errors import InvalidInputError


@dataclass(frozen=True)
class BatchTime:
    """tau(b) = t + a b in seconds.

    Attributes:
        setup_s: t, what a batch costs whatever its size.
        per_item_s: a, what each item adds.
    """

    setup_s: float
    per_item_s: float

    def __call__(self, size: int) -> float:
        """Returns the seconds of a batch of ``size`` items."""
        return self.setup_s + self.per_item_s * size

    def per_item(self, size: int) -> float:
        """Returns the seconds of one item in a batch of ``size``."""
        return self(size) / size


def fit_batch_time(sizes: Sequence[int], seconds: Sequence[float]) -> BatchTime:
    """Fits t and a, neither negative, to measured batches.

    Relative errors are made small, so that small batches count as much as large ones.

    Args:
        sizes: Items of each batch, at least 1.
        seconds: What each took, above 0.

    Raises:
        InvalidInputError: There are none, not as many of both, or a value is out of range.
    """
    if len(sizes) != len(seconds) or not sizes or min(sizes) < 1 or min(seconds) <= 0:
        raise InvalidInputError(
            f"sizes, seconds: expected as many of both, from 1 and above 0; "
            f"got {list(sizes)} and {list(seconds)}"
        )
    weights = [1 / s**2 for s in seconds]
    total = sum(weights)
    mean_size = sum(w * b for w, b in zip(weights, sizes, strict=True)) / total
    mean = sum(w * s for w, s in zip(weights, seconds, strict=True)) / total
    spread = sum(w * (b - mean_size) ** 2 for w, b in zip(weights, sizes, strict=True))
    if spread == 0:  # one size only: nothing is known of t
        return BatchTime(0.0, mean / mean_size)
    products = (
        w * (b - mean_size) * (s - mean) for w, b, s in zip(weights, sizes, seconds, strict=True)
    )
    slope = sum(products) / spread
    if slope < 0:
        return BatchTime(mean, 0.0)
    if mean < slope * mean_size:  # t would be negative: the best line through the origin
        through = sum(w * b * s for w, b, s in zip(weights, sizes, seconds, strict=True))
        return BatchTime(0.0, through / sum(w * b * b for w, b in zip(weights, sizes, strict=True)))
    return BatchTime(mean - slope * mean_size, slope)
