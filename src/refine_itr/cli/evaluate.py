"""``refine-itr eval``: recall on captioned photographs or features, through the shipped path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from refine_itr.cli.options import (
    AllowFallbackOption,
    CorrectHubsOption,
    DeviceOption,
    JsonOption,
    PlanOption,
    PrecisionOption,
    ThreadsOption,
)
from refine_itr.cli.output import print_json, print_line, stdout
from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.evaluation import PROTOCOLS, CaptionSet, read_captions
from refine_itr.evaluation import evaluate as run
from refine_itr.features import SUFFIX, Precomputed, read_precomputed
from refine_itr.model import Model, load


def evaluate(
    data: Annotated[
        Path, typer.Option("--data", help="captions.jsonl, or X_ims.npy (X_caps.txt).")
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="The folder of the images of captions.jsonl.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="'default' or a bundle's folder; several rank by the mean of their scores.",
            metavar="MODEL",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="As the papers measure; without it, all images at once.",
            metavar=f"[{'|'.join(PROTOCOLS)}]",
        ),
    ] = None,
    correct_hubs: CorrectHubsOption = False,
    device: DeviceOption = "auto",
    plan: PlanOption = None,
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
    precision: PrecisionOption = "fp32",
    json: JsonOption = False,
) -> None:
    """Measure recall at 1, 5 and 10 in both directions on captioned photographs or features."""
    if protocol not in (None, *PROTOCOLS):
        raise InvalidInputError(
            f"--protocol: expected one of {', '.join(PROTOCOLS)}; got {protocol!r}"
        )
    if correct_hubs and models and len(models) > 1:
        raise InvalidInputError(f"--correct-hubs: expected one model; got {len(models)}")
    captioned = _read(data, images)

    def loaded() -> Iterator[Model]:
        for name in models or ["default"]:
            with load(
                name,
                threads=threads,
                device=device,
                plan=plan,
                allow_fallback=allow_fallback,
                precision=precision,
            ) as model:
                yield model

    chosen = PROTOCOLS[protocol] if protocol else None
    recalls = run(loaded(), captioned, chosen, threads, bank="model" if correct_hubs else None)
    if json:
        print_json({**recalls.to_json(), **({"protocol": protocol} if protocol else {})})
        return
    table = Table(
        title=(f"{protocol}: " if protocol else "")
        + f"{recalls.images} images, {recalls.sentences} sentences: recall in percent",
        title_justify="left",
    )
    for heading in ("", "R@1", "R@5", "R@10", "mean"):
        table.add_column(heading, justify="right")
    for name, row in (("image to text", recalls.i2t), ("text to image", recalls.t2i)):
        table.add_row(name, *(f"{value:.1f}" for value in (*row, sum(row) / len(row))))
    stdout.print(table)
    print_line(f"rsum {recalls.rsum:.1f}")


def _read(data: Path, images: Path | None) -> CaptionSet | Precomputed:
    if data.name.endswith(SUFFIX):
        if images is not None:
            raise InvalidInputError("--images: expected none with features; they are the images")
        return read_precomputed(data)
    if images is None:
        raise DatasetError(
            f"{data}: expected the folder of the images too (--images), or an array of features "
            f"named *{SUFFIX}"
        )
    return read_captions(data, images)
