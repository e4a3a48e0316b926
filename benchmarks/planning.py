"""Is the plan a good one, and does the simulator tell the truth? On this machine's CPU.

``python benchmarks/planning.py FOLDER`` measures a profile, makes a plan for the most throughput,
and runs it beside thirty fixed configurations, from JPEG bytes to ranked sentences. Every
configuration is also simulated from the same profile. Then some of them get random arrivals, for
the delay. Answers are checked in every run. The plan and the configurations take turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import refine_itr
from refine_itr.bench.machine import describe_machine, other_load
from refine_itr.bench.pipeline import repeated
from refine_itr.bench.runs import run_arrivals, run_overlapped, run_sequential
from refine_itr.planning import Plan, PlannedStage, Profile, make_plan, parse_goal, simulate
from refine_itr.profiling import profile_model, sample_pictures

K = 10
SHARES_OF_LOAD = (0.3, 0.6)


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
        return PlannedStage(
            name, "cpu", threads, workers, cap, option.time, crowding=option.crowding
        )

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
        full = sum(2 * stage.cap * stage.workers for stage in plan.stages)
        return repeated(self.pictures, max(self.count, 5 * full))

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

    def delay_ms(self, plan: Plan, rate: float) -> float:
        items = repeated(self.pictures, int(8 * rate))
        return run_arrivals(self.index(plan).stages(K), items, rate).mean


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

    planned, rows = [], []
    for number, fixed in enumerate(configurations(profile)):
        if number % 5 == 0:
            planned.append(runner.throughput(plan))
        row = {"plan": label(fixed), "measured_per_s": runner.throughput(fixed)}
        row["simulated_per_s"] = simulate(fixed, items=arguments.count).throughput
        rows.append(row)
        print(json.dumps(row), file=sys.stderr)
    best = max(rows, key=lambda row: row["measured_per_s"])
    delays = []
    chosen = [fixed for i, fixed in enumerate(configurations(profile)) if i in (2, 7, 13, 18, 23)]
    for fixed, share in itertools.product([replace(plan, goal="plan"), *chosen], SHARES_OF_LOAD):
        rate = share * simulate(fixed, items=arguments.count).throughput
        row = {
            "plan": label(fixed),
            "rate": rate,
            "measured_ms": runner.delay_ms(replace(fixed, goal="max-throughput"), rate),
            "simulated_ms": 1e3 * simulate(fixed, rate=rate, items=4000).delay_mean_s,
        }
        delays.append(row)
        print(json.dumps(row), file=sys.stderr)
    report = {
        "machine": describe_machine(),
        "other_load": busy,
        "profile": profile.to_json(),
        "plan": {
            "plan": label(plan),
            "measured_per_s": statistics.median(planned),
            "simulated_per_s": plan.throughput,
            "sequential_per_s": runner.sequential(plan, 24),
        },
        "best_of_grid": best,
        "plan_over_best": statistics.median(planned) / best["measured_per_s"],
        "grid": rows,
        "delays": delays,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
