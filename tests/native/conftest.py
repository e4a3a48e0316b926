"""Runs every kernel test on every instruction set that this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from refine_itr import _core

# All that exist, so that one which does not run here is reported as skipped.
ISAS = (
    *("scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx"),
    *("neon", "neondot", "neonbf16"),
)

settings.register_profile(
    "kernels",
    max_examples=40,
    deadline=None,  # the machine may be busy
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kernels")


@pytest.fixture(scope="module", params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set in turn; only the one of REFINE_ITR_ISA if that is set."""
    name: str = request.param
    available = _core.available_isas()
    wanted = os.environ.get("REFINE_ITR_ISA") or name
    if wanted != name and wanted in available:
        pytest.skip(f"REFINE_ITR_ISA asks for {wanted} only")
    if wanted == name and name not in available:
        pytest.skip(f"{name} is not available on this machine")
    before = _core.isa()
    _core.force_isa(name)
    yield name
    _core.force_isa(before)
