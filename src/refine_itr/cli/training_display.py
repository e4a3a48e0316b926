"""What training shows meanwhile, and how Ctrl-C stops it between two steps."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from refine_itr.cli.output import stderr
from refine_itr.errors import MissingExtraError

if TYPE_CHECKING:
    from refine_itr.training.run import Hooks


def require_training() -> None:
    """Raises ``MissingExtraError`` unless the extra 'train' is installed."""
    for module in ("torch", "onnx"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("training", "train")


@contextmanager
def training_display() -> Iterator[Hooks]:
    """A bar for what is going on, a line for each epoch; the first Ctrl-C asks for a stop."""
    from refine_itr.training.run import Hooks

    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def request_stop(signum: int, _: object) -> None:
        stopping.append(signum)
        signal.signal(signal.SIGINT, before)  # the second one ends the program at once

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        titles = {""}

        def progress(title: str, done: int, total: int) -> None:
            if title not in titles:  # a new estimate of the remaining time
                titles.clear()
                titles.add(title)
                bar.reset(task, total=total, description=title)
            bar.update(task, completed=done)

        def on_epoch(line: dict[str, Any]) -> None:
            bar.console.print(_epoch_line(line), highlight=False)

        signal.signal(signal.SIGINT, request_stop)
        try:
            yield Hooks(progress=progress, on_epoch=on_epoch, should_stop=lambda: bool(stopping))
        finally:
            signal.signal(signal.SIGINT, before)


def _epoch_line(line: dict[str, Any]) -> str:
    parts = [f"epoch {line['epoch']}: loss {line['loss']:.3f}"]
    if "run" in line:
        parts.insert(0, line["run"])
    if "rsum" in line:
        parts.append(f"rsum {line['rsum']:.1f} (best: epoch {line['best_epoch']})")
    return ", ".join([*parts, f"{line['seconds']:.0f} s"])
