"""Does the simulator tell the truth? ``python benchmarks/simulator.py FOLDER``.

For each configuration: a fresh profile of its stages, its throughput when saturated and its mean
delay at random arrivals, both simulated from that profile and then measured. Some have a stand-in
for accelerator chips, which only takes its time, and a real encoder of the paper's size; the others
run the default model on the CPU alone, from JPEG bytes to ranked sentences. The last line, and the
exit status, say whether enough of them were predicted well.
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

THROUGHPUT, DELAY = 0.1, 0.2  # how far off a good prediction may be
ENOUGH = 8  # configurations that must be predicted well
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

Row = dict[str, Any]


def compare(
    name: str, plan: Plan, stages: Sequence[Stage], items: Any, rate: float, seconds: float
) -> Row:
    simulated = simulate(plan, items=4000)
    arriving = simulate(plan, rate=rate, items=4000)
    count = max(least_items(stages), int(seconds * simulated.throughput))
    measured = run_overlapped(stages, repeated(items, count)).per_s
    delay = run_arrivals(stages, repeated(items, max(1, int(seconds * rate))), rate).mean
    row: Row = {
        "configuration": name,
        "rate": rate,
        "measured_per_s": measured,
        "simulated_per_s": simulated.throughput,
        "throughput_ratio": simulated.throughput / measured,
        "measured_delay_ms": delay,
        "simulated_delay_ms": 1e3 * arriving.delay_mean_s,
        "delay_ratio": 1e3 * arriving.delay_mean_s / delay,
    }
    print(json.dumps(row), file=sys.stderr)
    return row


def verdict(rows: Sequence[Row]) -> tuple[bool, str]:
    """Returns whether enough configurations were predicted well, and that in words."""
    good = sum(
        abs(row["throughput_ratio"] - 1) <= THROUGHPUT and abs(row["delay_ratio"] - 1) <= DELAY
        for row in rows
    )
    passed = good >= ENOUGH
    return passed, (
        f"{'passed' if passed else 'FAILED'}: within {THROUGHPUT:.0%} of the throughput and "
        f"{DELAY:.0%} of the mean delay on {good} of {len(rows)} configurations (at least {ENOUGH})"
    )


def cpu_plan(
    pictures: list[bytes], detect: tuple[int, int], encode: tuple[int, int], cap: int
) -> Plan:
    profile = profile_model("default", pictures, device="cpu")

    def stage(name: str, workers: int, threads: int) -> PlannedStage:
        option = next(o for o in profile.stages[name] if o.threads == threads)
        return PlannedStage.of(name, option, workers, cap)

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
    parser.add_argument("--seconds", type=float, default=10, help="of each run (10)")
    arguments = parser.parse_args()
    pictures, seconds = sample_pictures(arguments.folder), arguments.seconds
    rows = []
    busy = other_load()
    for chips, ms, dim, rate in STAND_INS:
        case = stand_in_case(chips=chips, chip_s=ms / 1e3, dim=dim, threads=_core.max_threads())
        name = f"{chips} stand-in chips of {ms:g} ms, encoder D = {dim}"
        rows.append(compare(name, case.plan, case.stages, case.items, rate, seconds))
    for detect, encode, cap, rate in CPU:
        plan = cpu_plan(pictures, detect, encode, cap)
        index = refine_itr.Index(refine_itr.load(plan=plan))
        index.add_texts(f"a photograph number {number}" for number in range(1000))
        name = "CPU, " + " ".join(f"{s.name} {s.workers}x{s.threads}" for s in plan.stages)
        stages = index.stages(10)
        rows.append(compare(f"{name}, cap {cap}", plan, stages, pictures, rate, seconds))
    passed, line = verdict(rows)
    report = {"machine": describe_machine(), "other_load": busy, "rows": rows, "passed": passed}
    print(json.dumps(report, indent=2))
    print(line, file=sys.stderr)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
