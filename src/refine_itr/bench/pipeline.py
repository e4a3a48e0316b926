"""The pipeline on this machine: its stages alone, in turn, overlapped, and at arrival rates.

Efficiency is the overlapped throughput over that of the slowest stage run alone. Where all stages
share the CPU's cores no pipeline can reach it: there ``core_bound_per_s``, the cores over the
core-seconds that one picture costs in all stages, is what can be reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refine_itr.bench.runs import (
    Delays,
    least_items,
    run_arrivals,
    run_overlapped,
    run_sequential,
)
from refine_itr.pipeline import BatchRecord, Stage
from refine_itr.planning import Plan


@dataclass(frozen=True)
class Case:
    """Stages to measure, with what goes in and what must come out.

    Attributes:
        plan: How the stages were made; names workers, threads and caps.
        stages: In the pipeline's order.
        items: What goes in, one after the other, as often as needed.
        check: Raises if a result, given with its item, is wrong.
        batch: Batch size of the run that does not overlap.
    """

    plan: Plan
    stages: Sequence[Stage]
    items: Sequence[Any]
    check: Callable[[Any, Any], None]
    batch: int


@dataclass(frozen=True)
class Report:
    """Figures of one case.

    Attributes:
        images_per_s: Overlapped.
        sequential_per_s: One batch after the other through all stages.
        alone_per_s: Each stage by itself, by name.
        bottleneck: The slowest of them.
        efficiency: ``images_per_s`` over the bottleneck's.
        core_bound_per_s: Most that the CPU's cores allow; None where none of them is busy.
        service_ms: One picture alone, from the first stage to the last.
        delays: By arrivals a second.
        records: Every batch of the overlapped run.
    """

    plan: Plan
    images_per_s: float
    sequential_per_s: float
    alone_per_s: dict[str, float]
    bottleneck: str
    efficiency: float
    core_bound_per_s: float | None
    service_ms: float
    delays: dict[float, Delays]
    records: list[BatchRecord]

    def to_json(self) -> dict[str, object]:
        """Returns the figures as ``--json`` prints them."""
        first = next(iter(self.delays.items()), None)
        return {
            "efficiency": self.efficiency,
            "images_per_s": self.images_per_s,
            "sequential_per_s": self.sequential_per_s,
            "bottleneck": self.bottleneck,
            "alone_per_s": self.alone_per_s,
            "core_bound_per_s": self.core_bound_per_s,
            "service_ms": self.service_ms,
            "delay_ms": {"rate": first[0], **asdict(first[1])} if first else None,
            "delays_ms": [{"rate": rate, **asdict(d)} for rate, d in self.delays.items()],
            "plan": self.plan.to_json(),
        }


def measure(case: Case, *, count: int, rates: Sequence[float], arrivals: int) -> Report:
    """Checks the answers, then measures.

    Args:
        case: What to measure.
        count: Items of each throughput run; more if the pipeline holds many.
        rates: Arrivals a second.
        arrivals: Items of each run with arrivals.
    """
    items = repeated(case.items, max(count, least_items(case.stages)))
    alone: dict[str, float] = {}
    inputs: Sequence[Any] = items
    for stage in case.stages:
        run = run_overlapped([stage], inputs)
        alone[stage.name] = run.per_s
        inputs = run.values
    for item, value in zip(items, inputs, strict=True):
        case.check(item, value)
    overlapped = run_overlapped(case.stages, items)
    for item, value in zip(items, overlapped.values, strict=True):
        case.check(item, value)
    bottleneck = min(alone, key=alone.__getitem__)
    return Report(
        plan=case.plan,
        images_per_s=overlapped.per_s,
        sequential_per_s=run_sequential(case.stages, items, case.batch),
        alone_per_s=alone,
        bottleneck=bottleneck,
        efficiency=overlapped.per_s / alone[bottleneck],
        core_bound_per_s=_core_bound(case.plan, alone),
        service_ms=1e3 * _service_seconds(case),
        delays={
            rate: run_arrivals(case.stages, repeated(case.items, arrivals), rate) for rate in rates
        },
        records=overlapped.records,
    )


def repeated(items: Sequence[Any], count: int) -> list[Any]:
    """Returns ``count`` items, the given ones over and over."""
    return [items[i % len(items)] for i in range(count)]


def _core_bound(plan: Plan, alone: dict[str, float]) -> float | None:
    busy = [
        min(stage.workers * stage.threads, plan.cores) / alone[stage.name] for stage in plan.stages
    ]
    return plan.cores / sum(busy) if any(busy) else None


def _service_seconds(case: Case) -> float:
    """Median time of one item alone on an idle machine."""
    times = []
    for item in case.items[:9]:
        started = time.perf_counter()
        values: Sequence[Any] = [item]
        for stage in case.stages:
            values = stage.workers[0](list(values))
        times.append(time.perf_counter() - started)
    return float(np.median(times))
