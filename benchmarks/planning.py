"""Is the plan a good one? On this machine's CPU, from JPEG bytes to ranked sentences.

``python benchmarks/planning.py FOLDER`` measures a profile, makes a plan for the most throughput,
and runs thirty fixed configurations. The three best of them and the plan then take turns, with and
without overlapping, and the medians count: one run alone may have been lucky. Answers are checked
in every overlapped run. The last line, and the exit status, say whether the plan was good enough,
and none of them slower than without overlapping.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

import refine_itr
from refine_itr.bench.machine import describe_machine, other_load
from refine_itr.bench.pipeline import repeated
from refine_itr.bench.runs import run_overlapped, run_sequential
from refine_itr.planning import Plan, PlannedStage, Profile, make_plan, parse_goal
from refine_itr.profiling import profile_model, sample_pictures

K = 10
ROUNDS = 5
SEQUENTIAL_BATCH = 24
GOOD = 0.95  # share of the best fixed configuration that a plan must reach


def configurations(profile: Profile) -> list[Plan]:
    """Thirty: how detection, encoding and decoding share two cores, times five batch caps."""
    cores = profile.cores
    splits = [  # (workers, threads) of detect and encode; workers of decode
        ((1, cores), (1, cores), 1),
        ((1, cores), (1, cores), cores),
        ((1, cores), (1, 1), 1),
        ((cores, 1), (1, 1), 1),
        ((cores, 1), (1, cores), cores),
        ((1, 1), (1, 1), 1),
    ]
    return [
        configuration(profile, detect, encode, decode, cap)
        for (detect, encode, decode), cap in itertools.product(splits, (1, 2, 4, 8, 16))
    ]


def configuration(
    profile: Profile, detect: tuple[int, int], encode: tuple[int, int], decode: int, cap: int
) -> Plan:
    def stage(name: str, workers: int, threads: int) -> PlannedStage:
        option = next(o for o in profile.stages[name] if o.threads == threads)
        return PlannedStage.of(name, option, workers, cap)

    stages = (
        stage("decode", decode, 1),
        stage("detect", *detect),
        stage("encode", *encode),
        stage("search", 1, 1),
    )
    return Plan("max-throughput", profile.cores, stages)


def label(plan: Plan) -> str:
    return " ".join(f"{s.name}:{s.workers}x{s.threads}" for s in plan.stages) + (
        f" cap {'/'.join(str(s.cap) for s in plan.stages)}"
    )


class Runner:
    """Runs plans on one set of pictures and sentences."""

    def __init__(self, pictures: list[bytes], count: int) -> None:
        self.pictures = pictures
        self.count = count
        self.sentences = [f"a photograph number {number}" for number in range(1000)]
        self.expected: dict[bytes, list[float]] = {}

    def index(self, plan: Plan) -> refine_itr.Index:
        index = refine_itr.Index(refine_itr.load(plan=plan))
        index.add_texts(self.sentences)
        return index

    def items(self, plan: Plan) -> list[bytes]:
        """Enough that the pipeline is full most of the time."""
        full = sum(stage.cap * (2 * stage.workers + 1) for stage in plan.stages)
        return repeated(self.pictures, max(self.count, 4 * full))

    def throughput(self, plan: Plan) -> float:
        index = self.index(plan)
        items = self.items(plan)
        if not self.expected:
            for picture in self.pictures:
                self.expected[picture] = [hit.score for hit in index.search(picture, K)]
        run = run_overlapped(index.stages(K), items)
        for item, hits in zip(items, run.values, strict=True):
            np.testing.assert_allclose([h.score for h in hits], self.expected[item], atol=1e-4)
        return run.per_s

    def sequential(self, plan: Plan, batch: int) -> float:
        return run_sequential(self.index(plan).stages(K), self.items(plan), batch)


def verdict(over_best: float, over_sequential: float) -> tuple[bool, str]:
    """Returns whether the plan is good and overlapping never slower, and that in words."""
    passed = over_best >= GOOD and over_sequential >= 1
    return passed, (
        f"{'passed' if passed else 'FAILED'}: the plan reaches {over_best:.1%} of the best fixed "
        f"configuration (at least {GOOD:.0%}); overlapped is at least {over_sequential:.2f} times "
        "as fast as one batch after the other (at least 1)"
    )


def compared(runner: Runner, plan: Plan, fixed: dict[str, Plan]) -> dict[str, Any]:
    """Runs the fixed configurations; then the best of them and the plan in turns."""
    grid = {}
    for name, each in fixed.items():
        grid[name] = runner.throughput(each)
        print(f"{grid[name]:7.1f} a second  {name}", file=sys.stderr)
    best = sorted(grid, key=grid.__getitem__)[-3:]
    plans = {"plan": plan, **{name: fixed[name] for name in best}}
    overlapped: dict[str, list[float]] = {name: [] for name in plans}
    sequential: dict[str, list[float]] = {name: [] for name in plans}
    for _ in range(ROUNDS):
        for name, each in plans.items():
            overlapped[name].append(runner.throughput(each))
            sequential[name].append(runner.sequential(each, SEQUENTIAL_BATCH))
    medians = {name: statistics.median(runs) for name, runs in overlapped.items()}
    one_by_one = {name: statistics.median(runs) for name, runs in sequential.items()}
    return {
        "plan_per_s": medians["plan"],
        "plan_over_best_fixed": medians["plan"] / max(medians[name] for name in best),
        "plan_over_best_sequential": medians["plan"] / max(one_by_one.values()),
        "overlapped_over_sequential": {name: medians[name] / one_by_one[name] for name in plans},
        "overlapped": overlapped,
        "sequential": sequential,
        "grid": grid,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300, help="least pictures of a run (300)")
    arguments = parser.parse_args()
    pictures = sample_pictures(arguments.folder)
    busy = other_load()
    print(busy or "quiet machine", file=sys.stderr)
    profile = profile_model("default", pictures, device="cpu")
    plan = make_plan(profile, parse_goal("max-throughput"))
    runner = Runner(pictures, arguments.count)
    runner.throughput(plan)  # warms up
    found = compared(runner, plan, {label(each): each for each in configurations(profile)})
    slowest = min(found["overlapped_over_sequential"].values())
    passed, line = verdict(found["plan_over_best_fixed"], slowest)
    report = {
        "machine": describe_machine(),
        "other_load": busy,
        "profile": profile.to_json(),
        "plan": label(plan),
        **found,
        "passed": passed,
    }
    print(json.dumps(report, indent=2))
    print(line, file=sys.stderr)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
