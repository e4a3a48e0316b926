"""A discrete-event simulation of a plan: what it would do on a machine that need not be here.

It follows the pipeline's rules: a free worker takes what waits, up to the cap; a queue holds a
batch for each worker and one more, or one of the stage before; a worker that cannot hand on keeps
its results and stands still. CPU batches share the cores: each slows down by its crowding as the
other cores fill, and when their threads are more than the cores, all of them slow down in
proportion. Times are those of the plan, without noise; a worker that stood still for a while takes
longer for its next batch, in proportion up to ``REST_S``. Arrivals are Poisson.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from refine_itr.errors import InvalidInputError
from refine_itr.planning.plan import Plan, PlannedStage
from refine_itr.planning.profile import REST_S

Dispatch = Literal["greedy", "fixed"]

_EDGE = 0.1  # share of the items at either end, while the pipeline fills and empties


@dataclass(frozen=True)
class Simulation:
    """What a plan would do. Delays are in seconds, from an item's arrival to its result."""

    throughput: float
    utilisation: dict[str, float]
    delay_mean_s: float
    delay_p50_s: float
    delay_p90_s: float
    delay_p99_s: float


def simulate(
    plan: Plan,
    *,
    rate: float | None = None,
    items: int = 2000,
    dispatch: Dispatch = "greedy",
    seed: int = 0,
) -> Simulation:
    """Simulates a pipeline.

    Args:
        plan: With measured, or imagined, times.
        rate: Arrivals a second; None: there is always another item, and its delay counts from
            when the first queue has room for it.
        items: How many; a tenth of them at either end is left out of the figures.
        dispatch: "greedy", or "fixed": a stage waits until a batch is full.
        seed: Of the arrivals.
    """
    if items < 10 or (rate is not None and rate <= 0):
        raise InvalidInputError(
            f"items, rate: expected 10 or more, and above 0; got {items} and {rate}"
        )
    return _Run(plan, rate, items, dispatch == "fixed", seed).result()


def simulate_sequential(plan: Plan, batch: int) -> Simulation:
    """Returns what comes of taking each batch through all stages before the next one starts.

    Every stage uses all of its workers; an item's delay is its batch's way through the stages.
    """
    times = {stage.name: _makespan(stage, batch) for stage in plan.stages}
    total = sum(times.values())
    utilisation = {name: seconds / total for name, seconds in times.items()}
    return Simulation(batch / total, utilisation, total, total, total, total)


def _makespan(stage: PlannedStage, items: int) -> float:
    """Returns the time of ``items`` on all workers of a stage, in batches of its cap."""
    seconds = 0.0
    while items > 0:
        round_ = min(items, stage.cap * stage.workers)
        seconds += stage.measured(-(-round_ // stage.workers))
        items -= round_
    return seconds


@dataclass
class _Batch:
    items: list[int]
    left: float  # seconds of work


@dataclass
class _Worker:
    batch: _Batch | None = None  # running
    held: deque[int] = field(default_factory=deque)  # finished, not handed on
    rests_since: float = 0.0  # when its last batch was finished


class _Station:
    def __init__(self, planned: PlannedStage, coming: int, fixed: bool) -> None:
        self.planned = planned
        self.time = planned.measured
        self.fixed = fixed
        self.queue: deque[int] = deque()
        self.limit = max(planned.cap * (planned.workers + 1), coming)
        self.workers = [_Worker() for _ in range(planned.workers)]
        self.idle = deque(self.workers)  # the one that has rested longest takes the next batch
        self.blocked: deque[_Worker] = deque()
        self.busy_s = 0.0

    @property
    def room(self) -> int:
        return self.limit - len(self.queue)

    def next_size(self, no_more: bool) -> int:
        """Returns the size of the batch that would start now; 0 for none."""
        waiting, cap = len(self.queue), self.planned.cap
        if self.fixed and waiting < cap and not no_more:
            return 0
        most = min(waiting, cap)
        return max((size for size in self.planned.sizes if size <= most), default=most)


class _Run:
    """One simulation: the clock, the stations, the arrivals."""

    def __init__(self, plan: Plan, rate: float | None, items: int, fixed: bool, seed: int) -> None:
        self._cores = plan.cores
        before = (1, *(stage.cap for stage in plan.stages))
        self._stations = [
            _Station(stage, coming, fixed)
            for stage, coming in zip(plan.stages, before, strict=False)
        ]
        self._rate = rate
        self._random = random.Random(seed)
        self._now = 0.0
        self._to_come = items
        self._next_arrival = 0.0 if rate is None else self._random.expovariate(rate)
        self._outside: deque[int] = deque()  # arrived, no room in the first queue yet
        self._arrived: list[float] = []
        self._left: list[tuple[float, float]] = []  # when, and after which delay
        self._running: list[tuple[_Station, _Worker, _Batch]] = []
        self._items = items

    def result(self) -> Simulation:
        while len(self._left) < self._items:
            self._settle()
            self._advance()
        edge = max(1, int(self._items * _EDGE))
        window = self._left[edge:-edge]
        delays = sorted(delay for _, delay in window)
        span = window[-1][0] - window[0][0]
        end = self._left[-1][0]

        def percentile(share: float) -> float:
            return delays[min(len(delays) - 1, int(share * len(delays)))]

        return Simulation(
            throughput=(len(window) - 1) / span if span else float("inf"),
            utilisation={s.planned.name: s.busy_s / (len(s.workers) * end) for s in self._stations},
            delay_mean_s=sum(delays) / len(delays),
            delay_p50_s=percentile(0.5),
            delay_p90_s=percentile(0.9),
            delay_p99_s=percentile(0.99),
        )

    def _settle(self) -> None:
        """Lets in, hands on and starts all that can, from the last stage to the first."""
        self._admit()
        moved = True
        while moved:
            moved = False
            for place in reversed(range(len(self._stations))):
                moved |= self._unblock(place)
                moved |= self._start(place)
            moved |= self._admit()

    def _admit(self) -> bool:
        first = self._stations[0]
        admitted = False
        while first.room > 0:
            if self._outside:
                first.queue.append(self._outside.popleft())
            elif self._rate is None and self._to_come:
                first.queue.append(self._arrive())
            else:
                break
            admitted = True
        return admitted

    def _arrive(self) -> int:
        self._to_come -= 1
        self._arrived.append(self._now)
        return len(self._arrived) - 1

    def _unblock(self, place: int) -> bool:
        station = self._stations[place]
        moved = False
        while station.blocked:
            worker = station.blocked[0]
            moved |= self._hand_on(place, worker)
            if worker.held:
                break
            station.blocked.popleft()
            station.idle.append(worker)
        return moved

    def _hand_on(self, place: int, worker: _Worker) -> bool:
        moved = False
        if place + 1 == len(self._stations):
            for item in worker.held:
                self._left.append((self._now, self._now - self._arrived[item]))
            moved = bool(worker.held)
            worker.held.clear()
            return moved
        target = self._stations[place + 1]
        while worker.held and target.room > 0:
            target.queue.append(worker.held.popleft())
            moved = True
        return moved

    def _start(self, place: int) -> bool:
        station = self._stations[place]
        started = False
        while station.idle and station.queue:
            size = station.next_size(self._no_more(place))
            if not size:
                break
            items = [station.queue.popleft() for _ in range(size)]
            worker = station.idle.popleft()
            batch = _Batch(items, station.time(size) + self._waking(station, worker))
            worker.batch = batch
            self._running.append((station, worker, batch))
            started = True
        return started

    def _waking(self, station: _Station, worker: _Worker) -> float:
        rest = self._now - worker.rests_since
        return station.planned.wake_s * min(1.0, rest / REST_S)

    def _no_more(self, place: int) -> bool:
        """Whether nothing more can come to a stage: then a partial batch must start."""
        if self._to_come or self._outside:
            return False
        before = self._stations[:place]
        return not any(s.queue or len(s.idle) < len(s.workers) for s in before)

    def _advance(self) -> None:
        """Moves the clock to the next event: an arrival, or a batch that is finished."""
        active = sum(station.planned.threads for station, _, _ in self._running)
        speeds = [self._speed(station, active) for station, _, _ in self._running]
        step = min(
            (b.left / speed for (_, _, b), speed in zip(self._running, speeds, strict=True)),
            default=float("inf"),
        )
        arrives = self._rate is not None and self._to_come > 0
        if arrives:
            step = min(step, max(0.0, self._next_arrival - self._now))
        self._now += step
        still: list[tuple[_Station, _Worker, _Batch]] = []
        for (station, worker, batch), speed in zip(self._running, speeds, strict=True):
            station.busy_s += step
            batch.left -= step * speed
            if batch.left > 1e-12:
                still.append((station, worker, batch))
            else:
                worker.held.extend(batch.items)
                worker.rests_since = self._now
                station.blocked.append(worker)
        self._running = still
        if arrives and self._next_arrival <= self._now + 1e-12:
            self._outside.append(self._arrive())
            assert self._rate is not None
            self._next_arrival += self._random.expovariate(self._rate)

    def _speed(self, station: _Station, active: int) -> float:
        """Returns the pace of a stage's batches while ``active`` CPU threads are busy in all."""
        own = station.planned.threads
        if not own:
            return 1.0
        share = min(1.0, self._cores / active)
        if own >= self._cores:
            return share
        others = min(active, self._cores) - own
        slowdown = 1 + (station.planned.crowding - 1) * others / (self._cores - own)
        return share / slowdown
