"""What this machine can do at most: the yardstick of every figure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from refine_itr import _core
from refine_itr.bench.report import Row, Work
from refine_itr.bench.timing import FULL, QUICK, Effort, interleave
from refine_itr.types import Precision

BYTES: dict[Precision, int] = {"fp32": 4, "bf16": 2, "int8": 1}  # of a number

_READ = 1 << 29  # more than the caches of most machines hold
_QUICK_READ = 1 << 24
_LEAST_READ = 1 << 12  # what can be timed
_REPEATS = 12


@dataclass(frozen=True)
class Probe:
    """Work that the machine does as fast as it can.

    Attributes:
        run: Does it.
        share: The work of what is compared over that of ``run``.
    """

    run: Callable[[], object]
    share: float


@dataclass(frozen=True)
class Limits:
    """Measured limits.

    Attributes:
        gops: 1e9 operations a second by precision, two operations a multiply-add.
        read_gb_per_s: 1e9 bytes a second read from memory.
    """

    gops: dict[Precision, float]
    read_gb_per_s: float

    def to_json(self) -> dict[str, float]:
        """Returns the limits as ``--json`` prints them."""
        peaks = {f"{precision}_gops": value for precision, value in self.gops.items()}
        return {**peaks, "read_gb_per_s": self.read_gb_per_s}


def measure_limits(threads: int, quick: bool = False) -> Limits:
    """Measures this machine.

    Args:
        threads: CPU threads; 0 means all cores.
        quick: Read less memory; caches may serve it.
    """
    effort = QUICK if quick else FULL
    # The time that 1e9 operations, or bytes, would take.
    peaks = {p: 1 / _best_seconds(arithmetic_probe(0.5e9, p, threads, effort)) for p in BYTES}
    size = _QUICK_READ if quick else _READ
    return Limits(peaks, size / 1e9 / _best_seconds(reading_probe(size, threads)))


def arithmetic_probe(
    multiply_adds: float, precision: Precision, threads: int, effort: Effort
) -> Probe:
    """Returns multiply-adds from registers.

    They last a third of a turn: a processor's clock is higher for some milliseconds than it can
    stay.

    Args:
        multiply_adds: Of what is compared.
        precision: Of its numbers.
        threads: CPU threads; 0 means all cores.
        effort: How much is timed.
    """
    rounds = 1
    while _seconds(partial(_core.multiply_adds, precision, rounds, threads)) < effort.turn_s / 3:
        rounds *= 2
    run = partial(_core.multiply_adds, precision, rounds, threads)
    return Probe(run, multiply_adds / run())


def reading_probe(nbytes: int, threads: int) -> Probe:
    """Returns the reading of an array as large as what is compared reads: caches serve it alike.

    Args:
        nbytes: Of what is compared.
        threads: CPU threads; 0 means all cores.
    """
    array = np.ones(max(nbytes, _LEAST_READ) // 4, np.int32)
    return Probe(partial(_core.read_memory, array, threads), nbytes / array.nbytes)


def timed_row(
    work: Work, calls: Mapping[str, Callable[[], object]], probes: Sequence[Probe], effort: Effort
) -> Row:
    """Times calls and the machine's limit in turns: its clock hits all alike.

    Args:
        work: What the calls do.
        calls: By library.
        probes: What bounds them: the slowest is the limit.
        effort: How much is timed.
    """
    named = {f"limit {i}": probe for i, probe in enumerate(probes)}
    times = interleave({**calls, **{name: probe.run for name, probe in named.items()}}, effort)
    limits = [times.pop(name).min_ms * probe.share for name, probe in named.items()]
    return Row(work, times, max(limits) / work.per)


def _best_seconds(probe: Probe) -> float:
    return probe.share * min(_seconds(probe.run) for _ in range(_REPEATS))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
