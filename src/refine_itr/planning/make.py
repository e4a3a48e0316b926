"""Makes a plan: placement, workers, threads and batch caps for a goal.

Each stage's ways to run are narrowed to a few, all combinations are rated with the formulas, and
the best of them are simulated, which also sees how the stages share the cores and wait for each
other. Among equals the one with fewer workers and smaller batches is taken: the closer and the
smaller the batches, the shorter the delay.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from refine_itr.errors import InvalidInputError
from refine_itr.planning.delay import greedy_delay_bound, is_stable
from refine_itr.planning.goal import Goal
from refine_itr.planning.plan import Plan, PlannedStage
from refine_itr.planning.profile import Profile, StageOption
from refine_itr.planning.simulate import Simulation, simulate

_CAPS = (1, 2, 4, 8, 16, 32)
_ENOUGH = 1.01  # a larger batch that is not 1 % cheaper an item is not worth its delay
_HEADROOM = 0.8  # share of its capacity that a stage is planned for
_FINALISTS = 8
_ITEMS = 600  # simulated for each
_EQUAL = 0.99

_Stages = tuple[PlannedStage, ...]
_Ways = list[list[PlannedStage]]  # of each stage to run


def make_plan(profile: Profile, goal: Goal) -> Plan:
    """Chooses how each stage runs.

    Args:
        profile: What a batch takes in each stage.
        goal: "max-throughput": the most items a second. "throughput": so many a second with the
            least delay, with a fifth of each stage's capacity to spare. "delay": the most items
            a second while an item that finds each worker busy still comes through in time, that
            is, sum 2 tau(b) <= S.

    Raises:
        InvalidInputError: No plan reaches the goal; the message says what is possible.
    """
    ways = _ways(profile, goal)
    if goal.kind == "max-throughput":
        return _most_throughput(profile, goal, ways)
    if goal.kind == "throughput":
        return _least_delay(profile, goal, ways)
    return _within_delay(profile, goal, ways)


def bound(stages: Iterable[PlannedStage], cores: int) -> float:
    """Returns the most items a second: each stage's capacity, and the cores that all share."""
    stages = list(stages)
    core_seconds = sum(stage.core_seconds for stage in stages)
    most = min(stage.capacity for stage in stages)
    return min(most, cores / core_seconds) if core_seconds else most


def more_devices(profile: Profile, plan: Plan) -> list[str]:
    """Says what bounds a plan's throughput, and what twice the accelerators would bring."""
    assert plan.throughput is not None
    slowest = min(plan.stages, key=lambda stage: stage.capacity)
    cores = plan.cores / sum(s.core_seconds for s in plan.stages) if _cpu(plan) else math.inf
    if cores <= 1.001 * slowest.capacity:
        lines = [f"bound by the {plan.cores} cores that the stages share: {cores:.1f} a second"]
    else:
        lines = [f"bound by {slowest.name} on {slowest.device}: {slowest.capacity:.1f} a second"]
    if any(stage.threads == 0 for stage in plan.stages):
        doubled = {
            name: tuple(
                option if option.threads else replace(option, max_workers=2 * option.max_workers)
                for option in options
            )
            for name, options in profile.stages.items()
        }
        more = make_plan(Profile(profile.cores, doubled), Goal("max-throughput"))
        lines.append(f"with twice the accelerators: {more.throughput:.1f} a second")
    return lines


def _cpu(plan: Plan) -> bool:
    return any(stage.threads for stage in plan.stages)


def _ways(profile: Profile, goal: Goal) -> _Ways:
    return [
        [
            PlannedStage.of(name, option, workers, cap)
            for option in options
            for workers in _worker_counts(option)
            for cap in _caps(option, goal)
        ]
        for name, options in profile.stages.items()
    ]


def _combined(ways: _Ways) -> Iterator[_Stages]:
    """Yields all combinations: on many cores there are hundreds of thousands."""
    return itertools.product(*ways)


def _worker_counts(option: StageOption) -> list[int]:
    if option.threads == 0:
        return [option.max_workers]  # what is there is used
    return sorted({1, max(1, option.max_workers // 2), option.max_workers})


def _caps(option: StageOption, goal: Goal) -> Sequence[int]:
    caps = option.sizes or _CAPS
    if goal.kind != "max-throughput":
        return caps
    best = min(option.time.per_item(cap) for cap in caps)
    return [next(cap for cap in caps if option.time.per_item(cap) <= _ENOUGH * best)]


def _size(stages: _Stages) -> tuple[int, int]:
    """What is to be small among equals."""
    return sum(stage.workers for stage in stages), sum(stage.cap for stage in stages)


def _most_throughput(profile: Profile, goal: Goal, ways: _Ways) -> Plan:
    def rating(stages: _Stages) -> tuple[float, int, int]:
        return (-bound(stages, profile.cores), *_size(stages))

    finalists = heapq.nsmallest(_FINALISTS, _combined(ways), key=rating)
    runs = [(_simulated(profile, stages, None), stages) for stages in finalists]
    most = max(run.throughput for run, _ in runs)
    run, stages = min(
        ((run, stages) for run, stages in runs if run.throughput >= _EQUAL * most),
        key=lambda pair: (*_size(pair[1]), pair[0].delay_mean_s),
    )
    return _plan(profile, goal, stages, run.throughput, run.delay_mean_s)


def _least_delay(profile: Profile, goal: Goal, ways: _Ways) -> Plan:
    rate = goal.value / _HEADROOM
    able = [
        [s for s in stage_ways if is_stable(rate, s.measured, s.workers, s.cap)]
        for stage_ways in ways
    ]

    def delay(stages: _Stages) -> float:
        # Workers share the arrivals: each sees its part of them.
        return sum(greedy_delay_bound(goal.value / s.workers, s.measured) for s in stages)

    finalists = heapq.nsmallest(
        _FINALISTS,
        (stages for stages in _combined(able) if bound(stages, profile.cores) > rate),
        key=lambda stages: (delay(stages), *_size(stages)),
    )
    if not finalists:
        most = _HEADROOM * max(bound(stages, profile.cores) for stages in _combined(ways))
        raise InvalidInputError(
            f"goal: expected at most {most:.1f} a second on this machine; got {goal.value:g}"
        )
    runs = [(_simulated(profile, stages, goal.value), stages) for stages in finalists]
    least = min(run.delay_mean_s for run, _ in runs)
    run, stages = min(
        ((run, stages) for run, stages in runs if run.delay_mean_s <= least / _EQUAL),
        key=lambda pair: _size(pair[1]),
    )
    return _plan(profile, goal, stages, goal.value, run.delay_mean_s)


def _within_delay(profile: Profile, goal: Goal, ways: _Ways) -> Plan:
    def worst(stages: Iterable[PlannedStage]) -> float:
        return 2 * sum(stage.measured(stage.cap) for stage in stages)

    able = [[s for s in stage_ways if worst([s]) <= goal.value] for stage_ways in ways]
    within = (stages for stages in _combined(able) if worst(stages) <= goal.value)
    least = worst(min(stage_ways, key=lambda s: s.measured(s.cap)) for stage_ways in ways)
    if least > goal.value:
        raise InvalidInputError(
            f"goal: expected at least {1e3 * least:.0f} ms on this machine (twice the time of one "
            f"item alone, as it may find every worker busy); got {1e3 * goal.value:g}"
        )

    def rating(stages: _Stages) -> tuple[float, int, int]:
        return (-bound(stages, profile.cores), *_size(stages))

    stages = min(within, key=rating)
    throughput = _HEADROOM * bound(stages, profile.cores)
    run = _simulated(profile, stages, throughput)
    return _plan(profile, goal, stages, throughput, run.delay_mean_s)


def _simulated(profile: Profile, stages: _Stages, rate: float | None) -> Simulation:
    return simulate(Plan("", profile.cores, stages), rate=rate, items=_ITEMS)


def _plan(profile: Profile, goal: Goal, stages: _Stages, throughput: float, delay_s: float) -> Plan:
    return Plan(str(goal), profile.cores, stages, throughput, delay_s)
