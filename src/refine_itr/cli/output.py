"""What commands print: results to stdout, notes and errors to stderr."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from refine_itr.types import Failure, Hit

stdout = Console()
stderr = Console(stderr=True)

INTERRUPTED = 130  # the exit status that a shell gives a program that Ctrl-C ended

_FAILURES_SHOWN = 10


def print_json(data: object) -> None:
    """Prints one JSON document; unlike Rich's it neither wraps nor colours."""
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))


def write_json(path: Path, data: object) -> None:
    """Writes a JSON file for people to read, and to edit."""
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", "utf-8")


def print_line(text: str) -> None:
    """Prints a line as it is: not folded, and brackets in it are no markup."""
    stdout.print(text, markup=False, highlight=False, soft_wrap=True)


def print_hits(title: str, hits: Sequence[Hit]) -> None:
    """Prints hits, a line each (rank, score, relevance if known, item): a table folds paths."""
    stdout.print(Text(title, "bold"), soft_wrap=True)
    for hit in hits:
        relevance = "" if hit.relevance is None else f"  {hit.relevance:4.2f}"
        line = Text(f"{hit.rank:4d}  {hit.score:6.3f}{relevance}  {hit.item}")
        stdout.print(line, soft_wrap=True)


def print_note(text: str) -> None:
    """Prints a line to stderr: worth knowing, not an error."""
    stderr.print(Text(text, "yellow"), soft_wrap=True)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_note(record.getMessage())


_notes = _Notes(logging.WARNING)
# Commands report skipped pictures themselves, a few of them.
_notes.addFilter(lambda record: record.name != "refine_itr.skipped")


def show_warnings() -> None:
    """Prints what the package warns of, such as a lost device, as notes. Any number of times."""
    logging.getLogger("refine_itr").addHandler(_notes)


def note_other_load() -> str:
    """Warns if other processes use the machine; returns the warning, empty if there is none."""
    from refine_itr.bench.machine import other_load

    busy = other_load()
    if busy:
        print_note(busy)
    return busy


def print_failures(failures: Sequence[Failure]) -> None:
    """Names the pictures that were skipped, the first ones with their reason."""
    for failure in failures[:_FAILURES_SHOWN]:
        print_note(f"skipped {failure.item}: {failure.reason}")
    if len(failures) > _FAILURES_SHOWN:
        print_note(f"... and {len(failures) - _FAILURES_SHOWN} more")


def hit_to_json(hit: Hit) -> dict[str, object]:
    """Returns a hit as ``--json`` prints it."""
    return {
        "rank": hit.rank,
        "score": hit.score,
        "relevance": hit.relevance,
        "item": str(hit.item),
        "id": hit.id,
    }


def failures_to_json(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """Returns the skipped pictures as ``--json`` prints them."""
    return [{"item": str(f.item), "reason": f.reason} for f in failures]
