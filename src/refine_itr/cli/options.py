"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="'default' or a bundle's folder.", metavar="MODEL")
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, help="Threads to use; 0 means all cores.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of tables.")
]
CountOption = Annotated[int, typer.Option("-k", min=1, help="How many results.")]
