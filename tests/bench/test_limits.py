"""The machine's limits: real work, timed in turn with what they bound."""

from __future__ import annotations

import time

import pytest

from refine_itr.bench.limits import (
    Probe,
    arithmetic_probe,
    measure_limits,
    reading_probe,
    timed_row,
)
from refine_itr.bench.report import OURS, Work
from refine_itr.bench.timing import QUICK
from refine_itr.types import PRECISIONS


def test_limits_are_those_of_a_machine() -> None:
    limits = measure_limits(2, quick=True)
    assert limits.gops.keys() == set(PRECISIONS)
    assert all(1 < value < 1e6 for value in limits.gops.values())
    assert 0.5 < limits.read_gb_per_s < 1e5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_arithmetic_probe_does_what_it_says(precision: str) -> None:
    probe = arithmetic_probe(3e9, precision, 1, QUICK)  # type: ignore[arg-type]
    assert probe.run() == pytest.approx(3e9 / probe.share)


def test_a_reading_probe_reads_as_much_as_what_is_compared() -> None:
    probe = reading_probe(1 << 20, 2)
    assert probe.share == 1
    assert probe.run() == 1 << 18  # the sum of as many ones
    assert reading_probe(1024, 1).share == 0.25  # too little to be timed


def test_the_slowest_probe_is_the_limit() -> None:
    work = Work("stage", {}, "fp32", "folded", 4, "an image")
    probes = [Probe(lambda: time.sleep(0.002), 2.0), Probe(lambda: time.sleep(0.004), 0.1)]
    row = timed_row(work, {OURS: lambda: time.sleep(0.01)}, probes, QUICK)
    assert 1 <= row.limit_ms < 2
    assert row.times.keys() == {OURS}
    assert row.fraction_of_limit < 0.5
