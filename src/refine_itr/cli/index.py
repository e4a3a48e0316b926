"""``refine-itr index``: embed photographs and sentences once, keep them in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from refine_itr.cli.options import (
    AllowFallbackOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PlanOption,
    PrecisionOption,
    ThreadsOption,
)
from refine_itr.cli.output import (
    INTERRUPTED,
    failures_to_json,
    print_failures,
    print_json,
    print_line,
    print_note,
)
from refine_itr.errors import InvalidInputError
from refine_itr.index import AddReport, Index
from refine_itr.model import Model, load
from refine_itr.scoring import QueryBank

_ENOUGH = 256  # docs/scores.md has the measurements


def index(
    file: Annotated[Path, typer.Argument(help="The index file; made, or added to if it exists.")],
    photos: Annotated[
        list[Path] | None, typer.Argument(help="Folders (walked recursively) and picture files.")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option("--texts", help="A UTF-8 file of sentences, one a line.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Forget photographs whose file is gone.")
    ] = False,
    query_bank: Annotated[
        str | None,
        typer.Option(
            "--query-bank",
            metavar="model|none|FILE",
            help="Correct hubs: with the model's bank, which also tells relevance, or with a "
            "UTF-8 file of typical sentences, one a line. The index keeps it.",
        ),
    ] = None,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    plan: PlanOption = None,
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
    precision: PrecisionOption = "fp32",
    json: JsonOption = False,
) -> None:
    """Embed photographs and sentences and keep them in an index file.

    What is already in the file and unchanged on disk is not embedded again.
    """
    if not photos and texts is None and not prune and query_bank is None:
        raise InvalidInputError(
            "nothing to do: give photographs, --texts FILE, --query-bank or --prune"
        )
    # What can fail at once fails before hours of embedding.
    if not os.access(file.absolute().parent, os.W_OK):
        raise InvalidInputError(f"{file}: expected a folder that can be written to")
    sentences = read_sentences(texts) if texts is not None else []
    loaded = load(
        model,
        threads=threads,
        device=device,
        plan=plan,
        allow_fallback=allow_fallback,
        precision=precision,
    )
    opened = Index.open(file, loaded) if file.exists() else Index(loaded)
    if query_bank is not None:
        opened.set_query_bank(_bank(query_bank, loaded))
    removed = opened.remove_missing() if prune else 0
    text_report = opened.add_texts(sentences)
    report = _add_images(opened, photos or [], file)
    report.added += text_report.added
    report.unchanged += text_report.unchanged
    opened.save(file)
    _print(file, opened, report, removed, json)


def _add_images(opened: Index, photos: list[Path], file: Path) -> AddReport:
    try:
        return opened.add_images(photos)
    except KeyboardInterrupt:
        opened.save(file)
        print_note(f"stopped; {file} has what was embedded, the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None


def _bank(name: str, model: Model) -> QueryBank | Literal["model"] | None:
    if name == "model":
        return "model"
    if name == "none":
        return None
    sentences = read_sentences(Path(name))
    if len(sentences) < _ENOUGH:
        print_note(f"{name}: a bank of fewer than {_ENOUGH} sentences may rank worse than none")
    return QueryBank(model.embed_texts(sentences))


def read_sentences(path: Path) -> list[str]:
    """Returns the lines of a UTF-8 file that are not blank.

    Raises:
        InvalidInputError: The file is not UTF-8 text.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as exc:
        raise InvalidInputError(f"{path}: expected UTF-8 text; {exc.reason}") from exc
    return [line.strip() for line in lines if line.strip()]


def _print(file: Path, opened: Index, report: AddReport, removed: int, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "file": str(file),
                "images": opened.image_count,
                "texts": opened.text_count,
                "added": report.added,
                "updated": report.updated,
                "unchanged": report.unchanged,
                "removed": removed,
                "failed": failures_to_json(report.failed),
            }
        )
        return
    print_failures(report.failed)
    print_line(
        f"{file}: {opened.image_count} photographs, {opened.text_count} sentences "
        f"({report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{removed} removed, {len(report.failed)} skipped)"
    )
