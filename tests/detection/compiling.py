"""From a bundle to one that is compiled for the stand-in's chips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acl_stand_in import AclStandIn
from om_stand_in import SOC, compile_om

from refine_itr.exporting.ascend import AscendTarget, export_ascend

Install = Callable[..., AclStandIn]


def compile_bundle(bundle: Path, out: Path, batch: str = "1,2,4", soc: str = SOC) -> Path:
    export_ascend(bundle, out, AscendTarget.parse(soc, batch), force=False)
    compile_om(out)
    return out
