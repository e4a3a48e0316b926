from __future__ import annotations

import os
import subprocess
import sys

import pytest

from refine_itr import _core

from .conftest import ISAS


def run_with_isa(name: str) -> subprocess.CompletedProcess[str]:
    code = "from refine_itr import _core; print(_core.isa())"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "REFINE_ITR_ISA": name},
        capture_output=True,
        text=True,
        check=False,
    )


def test_at_least_one_instruction_set_is_tested() -> None:
    available = _core.available_isas()
    assert available[0] == "scalar"
    assert set(available) <= set(ISAS), "one that no test runs on"
    assert os.environ.get("REFINE_ITR_ISA", "") in ("", *available)


def test_the_forced_one_is_active(isa: str) -> None:
    assert _core.isa() == isa


@pytest.mark.parametrize("name", ["", "AVX2", "avx1024", "sse"])
def test_a_bad_name_is_refused_and_changes_nothing(name: str) -> None:
    before = _core.isa()
    with pytest.raises(ValueError, match=r"^isa: expected one of scalar.*; got") as caught:
        _core.force_isa(name)
    assert all(accepted in str(caught.value) for accepted in _core.available_isas())
    assert _core.isa() == before


def test_the_environment_names_the_instruction_set(isa: str) -> None:
    assert run_with_isa(isa).stdout.strip() == isa


def test_a_bad_name_in_the_environment_is_an_error() -> None:
    run = run_with_isa("avx1024")
    assert run.returncode != 0
    assert "ValueError: REFINE_ITR_ISA: expected one of scalar" in run.stderr
    assert "got 'avx1024'" in run.stderr


def test_an_instruction_set_of_another_machine_is_an_error() -> None:
    missing = next(name for name in ISAS if name not in _core.available_isas())
    with pytest.raises(ValueError, match=f"got '{missing}'"):
        _core.force_isa(missing)


def test_the_best_is_the_default() -> None:
    assert run_with_isa("").stdout.strip() == _core.available_isas()[-1]


def test_the_number_of_threads() -> None:
    assert _core.max_threads() >= 1
