"""What machine this is, and whether it is quiet."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from refine_itr import _core

_BUSY = 0.3  # cores


def cpu_name() -> str:
    """Returns the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_machine(packages: Iterable[str] = ()) -> dict[str, object]:
    """Returns what figures depend on.

    Args:
        packages: Installed ones whose versions matter, besides our own, NumPy and ONNX Runtime.
    """
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "isa": _core.isa(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("refine-itr", "numpy", "onnxruntime", *packages)},
    }


def other_load(seconds: float = 0.5) -> str:
    """Returns a warning if other processes use the machine now, else an empty text."""
    before, idle_before = _cpu_seconds()
    os_times = os.times()
    own_before = os_times.user + os_times.system
    time.sleep(seconds)
    after, idle_after = _cpu_seconds()
    os_times = os.times()
    own = os_times.user + os_times.system - own_before
    if after == before:
        return ""
    used = (after - before) - (idle_after - idle_before) - own
    if used / seconds < _BUSY:
        return ""
    return f"other processes use {used / seconds:.1f} cores now: the figures will be off"


def _cpu_seconds() -> tuple[float, float]:
    """Returns all and idle CPU seconds of the machine since it started; zeros where unknown."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return 0.0, 0.0
    ticks = [int(field) for field in stat.read_text().splitlines()[0].split()[1:9]]
    scale = os.sysconf("SC_CLK_TCK")
    return sum(ticks) / scale, (ticks[3] + ticks[4]) / scale
