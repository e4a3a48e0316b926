"""Keeps a running pipeline near its plan: additive increase, multiplicative decrease of the caps.

A profile is of another hour: the machine may be busier now, the pictures larger. Where a plan has
a delay to keep, a stage whose full batches take too long gets half the cap; a stage that is behind
although its batches are full gets one more, as long as the batch stays in its time.
"""

from __future__ import annotations

import threading

from refine_itr.planning.goal import parse_goal
from refine_itr.planning.plan import Plan, PlannedStage

_SLACK = 1.25  # times its share that a batch may take
_MOST = 2  # times its planned cap that a stage may have
_SETTLE = 4  # batches between two changes of a cap


class CapController:
    """Decides the caps from what the batches really take. Any thread may call it.

    Args:
        plan: Where the caps start; its goal says whether there is a delay to keep.
    """

    def __init__(self, plan: Plan) -> None:
        self._lock = threading.Lock()
        budgets = _budgets(plan)
        self._stages = {s.name: _Control(s, budgets.get(s.name)) for s in plan.stages}

    def observe(self, stage: str, size: int, seconds: float, waiting: int) -> int | None:
        """Takes a finished batch into account.

        Args:
            stage: Its stage.
            size: Items of the batch.
            seconds: What it took.
            waiting: Items that waited behind it.

        Returns:
            The stage's new cap, or None if it stays.
        """
        with self._lock:
            return self._stages[stage].observe(size, seconds, waiting)


class _Control:
    def __init__(self, stage: PlannedStage, budget_s: float | None) -> None:
        self._sizes = stage.sizes or tuple(range(1, _MOST * stage.cap + 1))
        self._cap = stage.cap
        self._time = stage.time
        self._budget_s = budget_s
        self._rest = _SETTLE

    def observe(self, size: int, seconds: float, waiting: int) -> int | None:
        self._rest -= 1
        if self._rest > 0 or size < self._cap:
            return None
        late = self._budget_s is not None and seconds > self._budget_s
        larger = next((s for s in self._sizes if s > self._cap), None)
        if late and self._cap > self._sizes[0]:
            return self._change(
                max(s for s in self._sizes if s <= max(self._cap // 2, self._sizes[0]))
            )
        if late or larger is None or waiting < self._cap:
            return None
        if self._budget_s is not None and self._at_this_pace(seconds, larger) > self._budget_s:
            return None
        return self._change(larger)

    def _at_this_pace(self, seconds: float, size: int) -> float:
        """Returns what a batch of ``size`` would take: what does not grow with it stays."""
        assert self._time is not None  # without measured times there is no budget
        return seconds * self._time(size) / self._time(self._cap)

    def _change(self, cap: int) -> int:
        self._cap = cap
        self._rest = _SETTLE
        return cap


def _budgets(plan: Plan) -> dict[str, float]:
    """Returns the seconds that a batch of each stage may take; none without a delay to keep."""
    if plan.delay_s is None or any(stage.time is None for stage in plan.stages):
        return {}
    times = {stage.name: stage.measured(stage.cap) for stage in plan.stages}
    goal = parse_goal(plan.goal)
    if goal.kind == "max-throughput":
        return {}
    # An item may find a batch in front of it at every stage: half the delay is for batches.
    share = goal.value / 2 / sum(times.values()) if goal.kind == "delay" else _SLACK
    return {name: share * seconds for name, seconds in times.items()}
