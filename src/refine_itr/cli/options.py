"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from refine_itr.types import Precision


def finite(value: Any) -> Any:
    """A callback for numbers: infinity is above any least value."""
    if not all(math.isfinite(v) for v in (value if isinstance(value, list) else [value]) if v):
        raise typer.BadParameter("expected a finite number")
    return value


ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="'default' or a bundle's folder.", metavar="MODEL")
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, help="Threads to use; 0 means all cores.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of tables.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        help="Where the convolutions run: auto, cpu, cuda:0, openvino:GPU, cann:0,1, ascend:0-5.",
        metavar="DEVICE",
    ),
]
AllowFallbackOption = Annotated[
    bool, typer.Option("--allow-fallback", help="Use the CPU where the device cannot be had.")
]
PlanOption = Annotated[
    Path | None,
    typer.Option("--plan", help="What `refine-itr plan` wrote."),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision", help="Of the encoders' products: bf16 and int8 are smaller and faster."
    ),
]
GalleryPrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--gallery-precision",
        help="What is searched: fp32, or a copy in bf16 or int8 that finds the same.",
    ),
]
CorrectHubsOption = Annotated[
    bool,
    typer.Option(
        "--correct-hubs", help="Rank with the model's query bank, which also tells relevance."
    ),
]
CountOption = Annotated[int, typer.Option("-k", min=1, help="How many results.")]
