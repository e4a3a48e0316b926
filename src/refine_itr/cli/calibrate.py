"""``refine-itr calibrate``: gives a bundle its query bank and its relevance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from refine_itr.bundle import bundle_folder, write_calibration
from refine_itr.cli.options import (
    AllowFallbackOption,
    DeviceOption,
    JsonOption,
    PlanOption,
    ThreadsOption,
)
from refine_itr.cli.output import print_json, print_line, stdout
from refine_itr.errors import InvalidInputError
from refine_itr.evaluation import (
    EmbeddedPairs,
    Recalls,
    Reliability,
    make_bank,
    measure_recalls,
    read_captions,
)
from refine_itr.evaluation import calibrate as run
from refine_itr.model import Model, load
from refine_itr.scoring import Calibration, QueryBank
from refine_itr.types import Kind

_TITLES = {"images": "a sentence finds photographs", "texts": "a photograph finds sentences"}


def calibrate(
    bundle: Annotated[str, typer.Argument(help="The bundle's folder, or 'default'.")],
    data: Annotated[
        Path,
        typer.Option("--data", help="captions.jsonl that relevance is fitted to; not in the bank."),
    ],
    images: Annotated[Path, typer.Option("--images", help="The folder of the images.")],
    bank_data: Annotated[
        Path | None,
        typer.Option(
            "--bank-data",
            help="captions.jsonl that a new bank is made of, e.g. the training split. "
            "Without it the bundle's bank stays.",
        ),
    ] = None,
    bank_images: Annotated[
        Path | None, typer.Option("--bank-images", help="Their folder, if it is another one.")
    ] = None,
    bank_size: Annotated[
        int, typer.Option("--bank-size", min=1, help="Rows of the bank, of each kind.")
    ] = 512,
    device: DeviceOption = "auto",
    plan: PlanOption = None,
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Give a bundle its query bank and its relevance, fitted to captioned photographs.

    Writes calibration.safetensors into the bundle. Indexes made before stay as they are; give
    them the new bank with `refine-itr index FILE --query-bank model`.
    """
    # What can fail at once fails before minutes of embedding.
    if not os.access(folder := bundle_folder(bundle), os.W_OK):
        raise InvalidInputError(f"{folder}: expected a folder that can be written to")
    captions = read_captions(data, images)
    queries = read_captions(bank_data, bank_images or images) if bank_data is not None else None
    loaded = load(bundle, threads=threads, device=device, plan=plan, allow_fallback=allow_fallback)
    if queries is None and loaded.calibration is None:
        raise InvalidInputError(f"{bundle}: it has no query bank yet: give --bank-data")
    pairs = EmbeddedPairs.of(loaded, captions)
    if queries is not None:
        typical = EmbeddedPairs.of(loaded, queries)
        bank = make_bank(typical, bank_size, pairs, threads=loaded.threads)
    else:
        bank = _own_bank(loaded)
    calibration, reliability = run(pairs, bank, loaded.threads)
    write_calibration(folder, loaded.fingerprint, calibration)
    recalls = [
        measure_recalls(pairs.images, pairs.texts, pairs.owner, loaded.threads, bank=b)
        for b in (None, bank)
    ]
    if json:
        print_json(_report(calibration, recalls, reliability))
        return
    _print(bundle, calibration, recalls, reliability)


def _own_bank(model: Model) -> QueryBank:
    assert model.calibration is not None  # checked before the pictures were embedded
    return model.calibration.bank


def _report(
    calibration: Calibration, recalls: list[Recalls], reliability: dict[Kind, Reliability]
) -> dict[str, object]:
    bank = calibration.bank
    return {
        "bank": {
            "texts": len(bank.texts),
            "images": len(bank.images),
            "temperature": bank.temperature,
        },
        "plain": recalls[0].to_json(),
        "corrected": recalls[1].to_json(),
        "t2i": reliability["images"].to_json(),
        "i2t": reliability["texts"].to_json(),
    }


def _print(
    bundle: str,
    calibration: Calibration,
    recalls: list[Recalls],
    reliability: dict[Kind, Reliability],
) -> None:
    bank = calibration.bank
    print_line(
        f"{bundle}: a bank of {len(bank.texts)} sentences and {len(bank.images)} photographs, "
        f"temperature {bank.temperature:g}; rsum {recalls[0].rsum:.1f}, "
        f"corrected {recalls[1].rsum:.1f}"
    )
    for kind, curve in reliability.items():
        stdout.print(_table(f"{_TITLES[kind]}, held-out halves", curve))


def _table(title: str, curve: Reliability) -> Table:
    table = Table(title=title, title_justify="left")
    headings = ("relevance", "hits", "mean", "fit", "shown if there", "shown if not")
    for heading in headings:
        table.add_column(heading, justify="right")
    for b in curve.bins:
        row = (f"{b.low:.1f} - {b.high:.1f}", str(b.hits), f"{b.relevance:.2f}", f"{b.fits:.2f}")
        table.add_row(*row)
    table.add_section()
    for cut in curve.cuts:
        fits = "-" if cut.fits is None else f"{cut.fits:.2f}"
        shown = (f"{cut.present:.0%}", f"{cut.absent:.0%}")
        table.add_row(f">= {cut.min_relevance:g}", str(cut.hits), "", fits, *shown)
    return table
