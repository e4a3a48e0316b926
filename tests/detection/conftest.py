"""A stand-in for Ascend's ``acl``, and a bundle compiled for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from acl_stand_in import AclStandIn
from compiling import Install, compile_bundle

from refine_itr.detection.ascend import runtime


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a stand-in in the place of ``acl``; at the end pyACL is shut down."""

    def install(**settings: int) -> AclStandIn:
        runtime.shut_down()
        acl = AclStandIn(**settings)
        monkeypatch.setitem(sys.modules, "acl", acl)
        return acl

    yield install
    runtime.shut_down()


@pytest.fixture
def compiled(bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle with a detector.om for batches of 1, 2 and 4."""
    return compile_bundle(bundle, tmp_path / "compiled")
