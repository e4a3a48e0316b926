"""A comparison from start to end: machine, limits, peers, rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from refine_itr import _core
from refine_itr.bench.limits import Limits, measure_limits
from refine_itr.bench.machine import describe_machine, other_load
from refine_itr.bench.peers import open_peers
from refine_itr.bench.report import Row
from refine_itr.bench.timing import FULL, QUICK, Effort
from refine_itr.errors import InvalidInputError
from refine_itr.types import PRECISIONS, Precision


@dataclass(frozen=True)
class Bench:
    """What every comparison needs to know.

    Attributes:
        threads: Of every library.
        precisions: Of our arithmetic.
        limits: This machine's.
        peers: Those that are installed.
        missing: Why the others are not there, by name.
        effort: How much is timed.
        busy: A warning if other processes used the machine, else empty.
    """

    threads: int
    precisions: Sequence[Precision]
    limits: Limits
    peers: Sequence[Any]
    missing: dict[str, str]
    effort: Effort
    busy: str

    def to_json(self, rows: Iterable[Row]) -> dict[str, object]:
        """Measures the rows and returns the comparison as ``--json`` prints it."""
        packages = dict.fromkeys(name for peer in self.peers for name in peer.PACKAGES)
        measured = [row.to_json() for row in rows]
        return {
            "machine": {**describe_machine(packages), "threads": self.threads},
            "other_load": self.busy or other_load(),  # before or after the rows were measured
            "limits": self.limits.to_json(),
            "missing_peers": self.missing,
            "rows": measured,
        }


def open_bench(
    peers: Sequence[str], *, threads: int, wanted: Sequence[str] | None, quick: bool
) -> Bench:
    """Looks at the machine, measures its limits and opens the peers.

    Args:
        peers: Modules of ``refine_itr.bench.peers``.
        threads: CPU threads; 0 means all cores.
        wanted: Precisions to measure; None: all that the native module has.
        quick: Measure little.

    Raises:
        InvalidInputError: A wanted precision is unknown.
    """
    used = wanted_precisions(wanted)
    busy = other_load()
    cores = threads or _core.max_threads()
    found, missing = open_peers(peers)
    limits = measure_limits(cores, quick)
    return Bench(cores, used, limits, found, missing, QUICK if quick else FULL, busy)


def wanted_precisions(wanted: Sequence[str] | None) -> tuple[Precision, ...]:
    """Returns those of the native module's precisions that are wanted; None: all.

    Raises:
        InvalidInputError: One is unknown.
    """
    for name in wanted or ():
        if name not in PRECISIONS:
            raise InvalidInputError(f"precision: expected {', '.join(PRECISIONS)}; got {name!r}")
    return tuple(name for name in PRECISIONS if not wanted or name in wanted)
