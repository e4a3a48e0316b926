"""``refine-itr features``: files of bottom-up attention into one array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from refine_itr.cli.options import JsonOption
from refine_itr.cli.output import print_json, print_line, stderr
from refine_itr.errors import InvalidInputError
from refine_itr.features import SUFFIX, ImageRegions, pack, read_ids, read_npz, read_tsv


def features(
    sources: Annotated[
        list[Path], typer.Argument(help="Bottom-up .tsv files, or folders of an .npz an image.")
    ],
    ids: Annotated[
        Path, typer.Option("--ids", help="X_ids.txt: a line an image, in the sentences' order.")
    ],
    out: Annotated[Path, typer.Option("--out", help=f"The array, named X{SUFFIX}.")],
    json: JsonOption = False,
) -> None:
    """Put region features from bottom-up TSV or npz files into one array for `eval --data`."""
    if not out.name.endswith(SUFFIX):
        raise InvalidInputError(f"--out: expected a file named X{SUFFIX}; got {out}")
    for source in sources:
        if source.suffix != ".tsv" and not source.is_dir():
            raise InvalidInputError(f"{source}: expected a .tsv file or a folder of .npz files")
    images = track(_images(sources), "reading", console=stderr, transient=True)
    n, k, c = pack(images, read_ids(ids), out)
    if json:
        print_json({"array": str(out), "images": n, "regions": k, "features": c})
    else:
        print_line(f"{out}: {n} images, {k} regions x {c}")


def _images(sources: list[Path]) -> Iterator[ImageRegions]:
    for source in sources:
        if source.is_dir():
            yield from map(read_npz, sorted(source.glob("*.npz")))
        else:
            yield from read_tsv(source)
