"""Options that several benchmarks share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="A folder of your photographs; by default made-up ones."),
]
CountOption = Annotated[
    int, typer.Option("--count", min=2, help="Pictures of each throughput run.")
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Tiny sizes, few repeats: shows that it works, no figures.")
]
DimOption = Annotated[
    list[int] | None, typer.Option("--dim", min=1, max=16384, help="Only this D; repeat for more.")
]
PrecisionOption = Annotated[
    list[str] | None,
    typer.Option("--precision", help="Only fp32, bf16 or int8; repeat for more."),
]
