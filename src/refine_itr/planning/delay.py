"""Closed formulas for batches in stages: when a stage keeps up, and how long an item waits.

r is the arrivals a second, tau(b) = t + a b the time of a batch, c the workers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from refine_itr.planning.batch_time import BatchTime


def is_stable(rate: float, time: BatchTime, workers: int, cap: int) -> bool:
    """Returns whether a stage keeps up: r below c b / tau(b)."""
    return rate * time(cap) < workers * cap


def least_batch(rate: float, time: BatchTime, workers: int) -> int | None:
    """Returns the least batch that keeps up, ceil(r t / (c - r a)); None if none does."""
    spare = workers - rate * time.per_item_s
    if spare <= 0:
        return None
    return max(1, math.ceil(rate * time.setup_s / spare))


def fixed_batch_delay(rate: float, stages: Sequence[tuple[BatchTime, int]]) -> float:
    """Returns about the mean delay, in seconds, where each stage waits for a full batch.

    (b1 - 1) / (2 r) until the first batch is full, then each stage's time, and
    (b' - b) / (2 r) more wherever a batch is larger than the one before. So the closer and the
    smaller the batches, the shorter the delay. Queueing is left out.

    Args:
        rate: Arrivals a second.
        stages: Time and batch of each, in order.
    """
    delay = (stages[0][1] - 1) / (2 * rate)
    before = stages[0][1]
    for time, batch in stages:
        delay += time(batch) + max(0, batch - before) / (2 * rate)
        before = batch
    return delay


def greedy_delay_bound(rate: float, time: BatchTime) -> float:
    """Returns a bound, tight to some percent, of the mean delay of one greedy worker, in seconds.

    The worker takes all that waits (no cap) as soon as it is free; arrivals are Poisson.
    Source: Inoue, "Queueing analysis of GPU-based inference servers with dynamic batching",
    arXiv 1912.06322. Infinite where the stage does not keep up.
    """
    r, t, a = rate, time.setup_s, time.per_item_s
    if r * a >= 1:
        return math.inf
    first = (a + t) / (2 * (1 - r * a)) * (1 + 2 * r * t + (1 - r * t) / (1 + r * a))
    second = 1.5 * t / (1 - r * a) + a / 2 * (r * a + 2) / (1 - r**2 * a**2)
    return min(first, second)
