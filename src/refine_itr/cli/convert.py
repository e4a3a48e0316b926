"""``refine-itr convert``: other programs' checkpoints as bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_itr.cli.options import JsonOption
from refine_itr.cli.output import print_json, print_line

convert = typer.Typer(
    help="Turn another program's checkpoint into a bundle (needs the extra 'convert').",
    no_args_is_help=True,
)


@convert.command()
def vsrn(
    checkpoint: Annotated[Path, typer.Argument(help="model_best.pth.tar")],
    vocab: Annotated[
        Path, typer.Option("--vocab", help="Its vocabulary, .pkl or .json, e.g. f30k_precomp.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The bundle's folder.")],
    regions: Annotated[
        int | None,
        typer.Option("--regions", min=1, max=4096, help="K; without it the weights' own, or 36."),
    ] = None,
    scale: Annotated[
        bool,
        typer.Option("--scale/--no-scale", help="Light-GCN: divide the relation by K."),
    ] = True,
    json: JsonOption = False,
) -> None:
    """Convert a checkpoint in VSRN's layout: VSRN, its Light-GCN, or VSE++ on features.

    The bundle has no detector: its regions come from files (see `refine-itr eval --data`).
    """
    from refine_itr.converting import convert as run

    config = run(checkpoint, vocab, out, regions=regions, scale_affinity=scale)
    image = config.image
    if json:
        print_json({"bundle": str(out), **config.to_json()})
        return
    print_line(
        f"{out}: D = {config.dim}, {image.layers} x {image.graph}, {image.regions} regions x "
        f"{image.features}, {config.text.vocabulary} words"
    )
