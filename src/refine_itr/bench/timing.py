"""Times calls of different libraries in turns, so that what the machine does hits all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from refine_itr.types import FloatArray

Call = Callable[[], FloatArray]
Name = TypeVar("Name", bound=Hashable)

# Thread pools spin for some milliseconds after their work; the next library finds free cores.
_PAUSE_S = 0.03


@dataclass(frozen=True)
class Effort:
    """How much is timed.

    Attributes:
        rounds: Turns that each call gets.
        turn_s: Seconds of a turn; a turn has at least one timed call.
        most: Most timed calls of a turn.
        enough_s: A call that has taken so many seconds gets no further turn; one that needs as
            many is not repeated for being warm.
    """

    rounds: int
    turn_s: float
    most: int
    enough_s: float


FULL = Effort(rounds=5, turn_s=0.15, most=50, enough_s=8.0)
QUICK = Effort(rounds=2, turn_s=0.01, most=3, enough_s=1.0)


@dataclass(frozen=True)
class Times:
    """Seconds of all timed calls of one library."""

    seconds: tuple[float, ...]

    @property
    def min_ms(self) -> float:
        """The fastest call in milliseconds."""
        return 1e3 * min(self.seconds)

    @property
    def median_ms(self) -> float:
        """The median call in milliseconds."""
        return 1e3 * float(np.median(self.seconds))


def interleave(calls: Mapping[Name, Callable[[], object]], effort: Effort) -> dict[Name, Times]:
    """Times every call in turn, over and over: ours, peer 1, peer 2, ours, peer 1, ...

    Each turn starts with a pause and an untimed call: the threads are awake and its own weights,
    not its predecessor's, are in the caches.

    Args:
        calls: What to time, by name.
        effort: How much.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        for _ in range(effort.rounds):
            for name, call in calls.items():
                if sum(seconds[name]) < effort.enough_s:
                    time.sleep(_PAUSE_S)
                    first = _seconds(call)
                    slow = first >= effort.enough_s
                    seconds[name] += [first] if slow else _turn(call, effort)
    finally:
        gc.enable()
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def _turn(call: Callable[[], object], effort: Effort) -> list[float]:
    seconds: list[float] = []
    while not seconds or (sum(seconds) < effort.turn_s and len(seconds) < effort.most):
        seconds.append(_seconds(call))
    return seconds


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
