"""Runs stages for real and takes the times: overlapped, one after the other, at arrival rates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from refine_itr.errors import InvalidInputError
from refine_itr.pipeline import BatchRecord, Pipeline, Stage


@dataclass(frozen=True)
class Delays:
    """Milliseconds from an item's arrival to its result."""

    mean: float
    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Delays:
        """Returns the figures of some delays in seconds."""
        ms = np.asarray(seconds) * 1e3
        p50, p90, p99 = np.percentile(ms, [50, 90, 99])
        return cls(float(ms.mean()), float(p50), float(p90), float(p99))


@dataclass(frozen=True)
class Overlapped:
    """What a saturated pipeline did.

    Attributes:
        per_s: Items a second while it was full: its filling and emptying are left out.
        values: The results, in order.
        records: Every batch of every stage.
    """

    per_s: float
    values: list[Any]
    records: list[BatchRecord]


def run_overlapped(stages: Sequence[Stage], items: Sequence[Any]) -> Overlapped:
    """Pushes the items through as fast as the stages take them.

    Raises:
        Exception: What an item failed with: a benchmark does not go on with wrong answers.
    """
    records: list[BatchRecord] = []
    finished: list[float] = []
    values: list[Any] = [None] * len(items)
    with Pipeline(stages, observer=records.append) as pipeline:
        for outcome in pipeline.run(items, ordered=False):
            if outcome.error is not None:
                raise outcome.error
            finished.append(time.perf_counter())
            values[outcome.index] = outcome.value
    return Overlapped(_steady_rate(finished, _in_flight(stages)), values, records)


def run_sequential(stages: Sequence[Stage], items: Sequence[Any], batch: int) -> float:
    """Takes each batch through all stages before the next one starts; returns items a second.

    Each stage still uses all of its workers.
    """
    pipelines = [Pipeline([stage]) for stage in stages]
    started = time.perf_counter()
    try:
        for first in range(0, len(items), batch):
            values = list(items[first : first + batch])
            for pipeline in pipelines:
                values = [outcome.value for outcome in pipeline.run(values)]
    finally:
        for pipeline in pipelines:
            pipeline.close()
    return len(items) / (time.perf_counter() - started)


def run_arrivals(
    stages: Sequence[Stage], items: Sequence[Any], rate: float, seed: int = 0
) -> Delays:
    """Lets items arrive at random (Poisson) times, ``rate`` a second, and takes their delays."""
    rng = np.random.default_rng(seed)
    delays: list[float] = []
    futures: list[Future[Any]] = []
    with Pipeline(stages) as pipeline:
        due = time.perf_counter()
        for item in items:
            due += rng.exponential(1 / rate)
            time.sleep(max(0.0, due - time.perf_counter()))
            arrived = due  # an arrival that the loop is late for has waited since then

            def done(_: Future[Any], arrived: float = arrived) -> None:
                delays.append(time.perf_counter() - arrived)

            future = pipeline.submit(item)
            future.add_done_callback(done)
            futures.append(future)
        for future in futures:
            future.result()
    return Delays.of(delays)


def least_items(stages: Sequence[Stage]) -> int:
    """Returns how many items a saturated run needs to be full for half of them."""
    return 4 * _in_flight(stages)


def _in_flight(stages: Sequence[Stage]) -> int:
    """What workers and queues hold at most."""
    return sum(stage.cap * (2 * len(stage.workers) + 1) for stage in stages)


def _steady_rate(finished: list[float], margin: int) -> float:
    if len(finished) < 4 * margin:
        raise InvalidInputError(
            f"items: expected at least {4 * margin}, so that the pipeline is full for half of "
            f"them; got {len(finished)}"
        )
    window = np.asarray(finished[margin:-margin])
    # The slope of a line through all of them: chips that end together make steps, and where the
    # window cuts a step must not matter.
    slope, _ = np.polyfit(window - window[0], np.arange(len(window)), 1)
    return float(slope)
