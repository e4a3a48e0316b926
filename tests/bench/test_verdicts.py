"""``benchmarks/simulator.py`` and ``planning.py``: what they say at the end."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def script(name: str) -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_eight_configurations_must_be_predicted_well() -> None:
    verdict = script("simulator").verdict
    good = {"throughput_ratio": 0.91, "delay_ratio": 1.19}
    slow, late = good | {"throughput_ratio": 0.89}, good | {"delay_ratio": 0.7}
    passed, line = verdict([good] * 8 + [slow, late])
    assert passed
    assert line == (
        "passed: within 10% of the throughput and 20% of the mean delay on 8 of 10 configurations "
        "(at least 8)"
    )
    passed, line = verdict([good] * 7 + [slow] * 9)
    assert not passed
    assert line.startswith("FAILED: ")


def test_a_plan_must_be_near_the_best_and_no_slower_than_without_overlapping() -> None:
    verdict = script("planning").verdict
    assert verdict(0.951, 1.0)[0]
    assert verdict(1.02, 1.3)[1].startswith("passed: the plan reaches 102.0% of the best")
    for over_best, over_sequential in ((0.94, 1.4), (1.0, 0.99)):
        passed, line = verdict(over_best, over_sequential)
        assert not passed
        assert line.startswith("FAILED: ")
