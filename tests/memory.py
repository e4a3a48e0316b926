"""What a process has in memory."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

# Not getrusage's ru_maxrss: a new process inherits that from the one that started it.
_PEAK = """
def peak_kib():
    with open("/proc/self/status") as status:
        return int(status.read().split("VmHWM:")[1].split()[0])
"""


def resident_bytes() -> int:
    """Returns the resident set as it is now: its peak would hide what leaks below it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def run_measured(script: str, *arguments: object) -> list[float]:
    """Runs Python code in a process of its own and returns the numbers that it prints.

    The code may call ``peak_kib()``, the most that its process has had in memory so far.
    """
    command = [sys.executable, "-c", _PEAK + script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]
