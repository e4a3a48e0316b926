from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_stub_matches_the_module() -> None:
    allowed = Path(__file__).with_name("stubtest_allowlist.txt")
    command = [sys.executable, "-m", "mypy.stubtest", "refine_itr._core", "--concise"]
    config = ["--mypy-config-file", str(ROOT / "pyproject.toml")]
    run = subprocess.run(
        [*command, *config, "--allowlist", str(allowed)],
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
