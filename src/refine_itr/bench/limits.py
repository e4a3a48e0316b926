"""What this machine can do at most: the yardstick of every figure."""

from __future__ import annotations

from dataclasses import dataclass

from refine_itr import _core
from refine_itr.types import Precision

BYTES: dict[Precision, int] = {"fp32": 4, "bf16": 2, "int8": 1}  # of a number

_READ = 1 << 29  # more than the caches of most machines hold
_QUICK_READ = 1 << 24
_LEAST_READ = 1 << 12  # what can be timed


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

    def arithmetic_ms(self, multiply_adds: float, precision: Precision) -> float:
        """Returns the least milliseconds that so many multiply-adds can take."""
        return 1e3 * 2 * multiply_adds / (1e9 * self.gops[precision])


def measure_limits(threads: int, quick: bool = False) -> Limits:
    """Measures this machine.

    Args:
        threads: CPU threads; 0 means all cores.
        quick: Read less memory; caches may serve it.
    """
    peaks = {precision: _core.peak_gops(precision, threads) for precision in BYTES}
    return Limits(peaks, _core.read_gbps(_QUICK_READ if quick else _READ, threads))


def reading_ms(nbytes: int, threads: int) -> float:
    """Returns the milliseconds of reading so many bytes from where an array so large lies.

    Args:
        nbytes: Its bytes.
        threads: CPU threads; 0 means all cores.
    """
    return nbytes / _core.read_gbps(max(nbytes, _LEAST_READ), threads) / 1e6
