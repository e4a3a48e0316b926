"""The C++ test of the kernels: under sanitizers, and in emulators of other CPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from refine_itr import _core

SCRIPTS = Path(__file__).parents[2] / "scripts"
MISSING_TOOLS = 77  # exit code of a script that cannot run here


def run_script(name: str, **environment: str) -> str:
    if shutil.which("cmake") is None or shutil.which("g++") is None:
        pytest.skip("needs cmake and g++")
    run = subprocess.run(
        [SCRIPTS / name],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    if run.returncode == MISSING_TOOLS:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def assert_all_ran(output: str, isas: list[str]) -> None:
    """Asserts that `isas` ran, in this order, with many checks each and no failure."""
    lines = [line for line in output.splitlines() if line.endswith(" checks")]
    assert [line.split(":")[0] for line in lines] == isas
    assert all(int(line.split()[1]) > 1000 for line in lines)
    assert "\n0 of " in output


def test_address_and_undefined_behaviour_sanitizers() -> None:
    assert_all_ran(run_script("test-sanitizers"), _core.available_isas())


def test_thread_sanitizer() -> None:
    output = run_script("test-threads", PYTHON=sys.executable)
    kernels, pipeline = output.split(" checks failed\n")
    assert_all_ran(f"{kernels} checks failed", _core.available_isas())
    assert "3 passed" in pipeline


def test_neon_in_an_emulator() -> None:
    assert_all_ran(run_script("test-neon"), ["scalar", "neon", "neondot", "neonbf16"])


def test_one_build_runs_on_older_cpus() -> None:
    output = run_script("test-older-cpus")
    without_avx2, without_avx512 = output.split("cpu: Haswell\n")
    assert_all_ran(without_avx2, ["scalar"])
    assert_all_ran(without_avx512, ["scalar", "avx2"])
