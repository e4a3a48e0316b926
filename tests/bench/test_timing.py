"""Turns of libraries, and what a report makes of their times."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from itertools import groupby

import pytest

from refine_itr.bench.report import OURS, Row, Work
from refine_itr.bench.timing import Effort, Times, interleave


def test_calls_take_turns() -> None:
    seen: list[str] = []

    def call(name: str, seconds: float) -> Callable[[], None]:
        def work() -> None:
            seen.append(name)
            time.sleep(seconds)

        return work

    calls = {"ours": call("ours", 0.001), "fast": call("fast", 0), "slow": call("slow", 0.05)}
    times = interleave(calls, Effort(rounds=3, turn_s=0.004, most=20, enough_s=0.04))
    turns = [name for name, _ in groupby(seen)]
    assert turns == ["ours", "fast", "slow", "ours", "fast", "ours", "fast"]
    assert seen.count("slow") == len(times["slow"].seconds) == 1  # not again for being warm
    assert seen.count("fast") == len(times["fast"].seconds) + 3  # the untimed ones
    assert len(times["ours"].seconds) <= 3 * 4
    assert times["slow"].min_ms >= 50
    assert gc.isenabled()


def test_garbage_is_collected_again_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        interleave({"ours": lambda: 1 / 0}, Effort(1, 0.1, 1, 1.0))
    assert gc.isenabled()


def test_a_rows_figures() -> None:
    work = Work("stage", {"dim": 8}, "fp32", "folded", 4, "an image")
    times = {
        OURS: Times((0.008, 0.004, 0.012)),
        "a": Times((0.016, 0.02)),
        "b": Times((0.012, 0.04)),
    }
    data = Row(work, times, 0.5).to_json()
    assert data == {
        "stage": "stage",
        "dim": 8,
        "precision": "fp32",
        "baseline": "folded",
        "ours_ms": pytest.approx(1.0),
        "ours_median_ms": pytest.approx(2.0),
        "peer": "b",
        "peer_ms": pytest.approx(3.0),
        "peer_median_ms": pytest.approx(6.5),
        "ratio": pytest.approx(3.0),
        "fraction_of_limit": pytest.approx(0.5),
        "limit_ms": 0.5,
        "peers": {"b": pytest.approx(3.0), "a": pytest.approx(4.0)},
        "peer_medians": {"b": pytest.approx(6.5), "a": pytest.approx(4.5)},
    }
    assert list(data["peers"]) == ["b", "a"]  # type: ignore[call-overload]
