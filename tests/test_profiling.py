"""What a profile finds in stages whose times are known."""

from __future__ import annotations

import time
from typing import Any

import pytest

from refine_itr.planning import REST_S
from refine_itr.profiling import Candidate, measure

ITEM_S, WAKE_S = 0.002, 0.01


class Sleeper:
    """Work that takes ``WAKE_S`` longer when there was none for a while."""

    def __init__(self) -> None:
        self.ended = time.perf_counter()

    def __call__(self, batch: list[Any]) -> list[Any]:
        rested = time.perf_counter() - self.ended > 0.9 * REST_S
        time.sleep(ITEM_S * len(batch) + WAKE_S * rested)
        self.ended = time.perf_counter()
        return batch


def nap(batch: list[Any]) -> list[Any]:
    time.sleep(ITEM_S * len(batch))
    return batch


def test_what_waking_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refine_itr.profiling._SECONDS", 0.05)
    stages = measure(
        [
            Candidate("sleepy", "cpu", 1, 1, Sleeper(), [0]),
            Candidate("awake", "cpu", 1, 1, nap, [0]),
        ],
        cores=1,
    ).stages
    (sleepy,), (awake,) = stages["sleepy"], stages["awake"]
    assert sleepy.wake_s == pytest.approx(WAKE_S, rel=0.5)
    assert awake.wake_s < 0.5 * WAKE_S
    assert sleepy.time.per_item_s == pytest.approx(ITEM_S, rel=0.5)
