"""The progress bar, shown on a terminal and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def tracked(items: Iterable[T], total: int, show: bool | None) -> Iterator[T]:
    """Yields the items and moves a bar on stderr; ``show`` None asks whether it is a terminal."""
    if show is None:
        show = sys.stderr.isatty()
    if not show or total == 0:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, "Embedding", total, console=Console(stderr=True), transient=True)
