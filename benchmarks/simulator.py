"""Does the simulator tell the truth? ``python benchmarks/simulator.py FOLDER``.

For each configuration: a fresh profile of its stages, its throughput when saturated and its mean
delay at random arrivals, both simulated from that profile and then measured. Some have a stand-in
for accelerator chips, which only takes its time, and a real encoder of the paper's size; the others
run the default model on the CPU alone, from JPEG bytes to ranked sentences.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import refine_itr
from refine_itr import _core
from refine_itr.bench.cases import stand_in_case
from refine_itr.bench.machine import describe_machine, other_load
from refine_itr.bench.pipeline import repeated
from refine_itr.bench.runs import least_items, run_arrivals, run_overlapped
from refine_itr.pipeline import Stage
from refine_itr.planning import Plan, PlannedStage, simulate
from refine_itr.profiling import profile_model, sample_pictures

SECONDS = 10
# Chips, milliseconds of one for a picture, D of the encoder, arrivals a second.
STAND_INS = [
    (24, 403.2, 1024, 20),
    (24, 403.2, 1024, 40),
    (24, 403.2, 1024, 50),
    (8, 100.0, 512, 30),
    (8, 100.0, 512, 60),
    (4, 50.0, 512, 40),
]
# Workers x threads of detect and encode, cap, arrivals a second.
CPU = [
    ((1, 2), (1, 2), 4, 15),
    ((1, 2), (1, 2), 16, 25),
    ((2, 1), (1, 1), 8, 25),
    ((1, 1), (1, 1), 4, 15),
    ((2, 1), (1, 2), 16, 30),
]


def compare(name: str, plan: Plan, stages: Sequence[Stage], items: Any, rate: float) -> None:
    simulated = simulate(plan, items=4000)
    arriving = simulate(plan, rate=rate, items=4000)
    count = max(least_items(stages), int(SECONDS * simulated.throughput))
    measured = run_overlapped(stages, repeated(items, count)).per_s
    delay = run_arrivals(stages, repeated(items, int(SECONDS * rate)), rate).mean
    row = {
        "configuration": name,
        "rate": rate,
        "measured_per_s": measured,
        "simulated_per_s": simulated.throughput,
        "throughput_ratio": simulated.throughput / measured,
        "measured_delay_ms": delay,
        "simulated_delay_ms": 1e3 * arriving.delay_mean_s,
        "delay_ratio": 1e3 * arriving.delay_mean_s / delay,
    }
    ROWS.append(row)
    print(json.dumps(row), file=sys.stderr)


ROWS: list[dict[str, object]] = []


def cpu_plan(
    pictures: list[bytes], detect: tuple[int, int], encode: tuple[int, int], cap: int
) -> Plan:
    profile = profile_model("default", pictures, device="cpu")

    def stage(name: str, workers: int, threads: int) -> PlannedStage:
        option = next(o for o in profile.stages[name] if o.threads == threads)
        return PlannedStage(
            name, "cpu", threads, workers, cap, option.time, crowding=option.crowding
        )

    stages = (
        stage("decode", 1, 1),
        stage("detect", *detect),
        stage("encode", *encode),
        stage("search", 1, 1),
    )
    return Plan("max-throughput", profile.cores, stages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    pictures = sample_pictures(parser.parse_args().folder)
    busy = other_load()
    for chips, ms, dim, rate in STAND_INS:
        case = stand_in_case(chips=chips, chip_s=ms / 1e3, dim=dim, threads=_core.max_threads())
        name = f"{chips} stand-in chips of {ms:g} ms, encoder D = {dim}"
        compare(name, case.plan, case.stages, case.items, rate)
    for detect, encode, cap, rate in CPU:
        plan = cpu_plan(pictures, detect, encode, cap)
        index = refine_itr.Index(refine_itr.load(plan=plan))
        index.add_texts(f"a photograph number {number}" for number in range(1000))
        name = "CPU, " + " ".join(f"{s.name} {s.workers}x{s.threads}" for s in plan.stages)
        compare(f"{name}, cap {cap}", plan, index.stages(10), pictures, rate)
    print(json.dumps({"machine": describe_machine(), "other_load": busy, "rows": ROWS}, indent=2))


if __name__ == "__main__":
    main()
