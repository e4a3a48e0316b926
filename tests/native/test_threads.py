"""The pool of threads: forks, many callers, more threads than cores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np

from refine_itr import _core

FORK = """
import os, numpy as np
from refine_itr import _core

def product():
    x, out = np.ones((600, 512), np.float32), np.empty((600, 512), np.float32)
    weight = _core.PackedMatrix(np.eye(512, dtype=np.float32))
    _core.linear(x, weight, out, _core.Workspace(), threads=4)
    return bool((out == x).all())

assert product()
child = os.fork()
if child == 0:
    os._exit(0 if product() and product() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert product()
"""


def test_a_child_of_a_fork_has_threads_of_its_own() -> None:
    # In Python 3.12 and later a fork beside threads is warned of; here it is what is tested.
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_many_callers_at_once_get_right_results() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((700, 300), np.float32)
    weight = rng.standard_normal((200, 300), np.float32)
    packed, expected = _core.PackedMatrix(weight), x @ weight.T
    wrong: list[float] = []

    def call() -> None:
        workspace, out = _core.Workspace(), np.empty((700, 200), np.float32)
        for _ in range(20):
            out[...] = np.nan
            _core.linear(x, packed, out, workspace, threads=3)
            error = float(np.abs(out - expected).max())
            if not error < 1e-3:
                wrong.append(error)

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=120)
    assert not any(caller.is_alive() for caller in callers)
    assert wrong == []


def test_more_threads_than_cores() -> None:
    x, out = np.ones((900, 256), np.float32), np.empty((900, 256), np.float32)
    packed = _core.PackedMatrix(np.eye(256, dtype=np.float32))
    for threads in (2, 4 * (os.cpu_count() or 1), 256):
        _core.linear(x, packed, out, _core.Workspace(), threads=threads)
        np.testing.assert_array_equal(out, x)
