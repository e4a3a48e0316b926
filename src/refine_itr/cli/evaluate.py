"""``refine-itr eval``: recall on captioned photographs, through the shipped path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from refine_itr.cli.options import (
    AllowFallbackOption,
    CorrectHubsOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PlanOption,
    ThreadsOption,
)
from refine_itr.cli.output import print_json, stdout
from refine_itr.evaluation import evaluate as run
from refine_itr.evaluation import read_captions
from refine_itr.index import bank_of
from refine_itr.model import load


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="captions.jsonl, a line an image.")],
    images: Annotated[Path, typer.Option("--images", help="The folder of the images.")],
    correct_hubs: CorrectHubsOption = False,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    plan: PlanOption = None,
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure recall at 1, 5 and 10 in both directions on captioned photographs."""
    captions = read_captions(data, images)
    loaded = load(model, threads=threads, device=device, plan=plan, allow_fallback=allow_fallback)
    bank = bank_of(loaded, "model" if correct_hubs else None)
    recalls = run(loaded, captions, bank)
    if json:
        print_json(recalls.to_json())
        return
    table = Table(
        title=f"{recalls.images} images, {recalls.sentences} sentences: recall in percent",
        title_justify="left",
    )
    for heading in ("", "R@1", "R@5", "R@10", "mean"):
        table.add_column(heading, justify="right")
    for name, row in (("image to text", recalls.i2t), ("text to image", recalls.t2i)):
        table.add_row(name, *(f"{value:.1f}" for value in (*row, sum(row) / len(row))))
    stdout.print(table)
    stdout.print(f"rsum {recalls.rsum:.1f}", highlight=False)
