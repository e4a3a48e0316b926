"""What this machine can do at most: the yardstick of every figure."""

from __future__ import annotations

from dataclasses import dataclass

from refine_itr.bench.pending import peak_gops, read_gbps

BYTES = {"fp32": 4, "bf16": 2, "int8": 1}  # of a number
PRECISIONS = tuple(BYTES)

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

    gops: dict[str, float | None]
    read_gb_per_s: float | None

    def to_json(self) -> dict[str, float | None]:
        """Returns the limits as ``--json`` prints them."""
        peaks = {f"{precision}_gops": value for precision, value in self.gops.items()}
        return {**peaks, "read_gb_per_s": self.read_gb_per_s}

    def arithmetic_ms(self, multiply_adds: float, precision: str) -> float | None:
        """Returns the least milliseconds that so many multiply-adds can take."""
        peak = self.gops[precision]
        return None if peak is None else 1e3 * 2 * multiply_adds / (1e9 * peak)


def measure_limits(threads: int, quick: bool = False) -> Limits:
    """Measures this machine.

    Args:
        threads: CPU threads; 0 means all cores.
        quick: Read less memory; caches may serve it.
    """
    peaks = {precision: peak_gops(precision, threads) for precision in PRECISIONS}
    return Limits(peaks, read_gbps(_QUICK_READ if quick else _READ, threads))


def reading_ms(nbytes: int, threads: int) -> float | None:
    """Returns the milliseconds of reading so many bytes from where an array so large lies.

    Args:
        nbytes: Its bytes.
        threads: CPU threads; 0 means all cores.
    """
    rate = read_gbps(max(nbytes, _LEAST_READ), threads)
    return None if rate is None else nbytes / rate / 1e6
