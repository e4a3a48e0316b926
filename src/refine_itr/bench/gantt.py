"""Draws a pipeline as it ran: a row for each worker, a bar for each batch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from refine_itr.errors import InvalidInputError, MissingExtraError
from refine_itr.pipeline import BatchRecord

_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d755d")
FORMATS = (".png", ".svg", ".pdf")


def check_drawing(path: Path) -> None:
    """Looks whether ``draw`` can write the file.

    Raises:
        InvalidInputError: The suffix is none of ``FORMATS``, or there is no such folder.
        MissingExtraError: Matplotlib is not installed.
    """
    if path.suffix not in FORMATS:
        raise InvalidInputError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise InvalidInputError(f"{path}: expected a file in a folder that is there")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("drawing", "plot")


def draw(
    records: Sequence[BatchRecord],
    stages: Sequence[str],
    path: Path,
    *,
    title: str,
    seconds: float,
) -> None:
    """Draws ``seconds`` from the middle of a run; the number on a bar is its batch's size.

    Args:
        records: Every batch of every stage.
        stages: Their names in the pipeline's order, from top to bottom.
        path: Where to; its suffix decides the format.
        title: A line above the picture.
        seconds: Width of the picture in time.

    Raises:
        InvalidInputError: See ``check_drawing``.
        MissingExtraError: Matplotlib is not installed.
    """
    check_drawing(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    middle = (min(r.start for r in records) + max(r.end for r in records)) / 2
    shown = [r for r in records if r.end > middle - seconds / 2 and r.start < middle + seconds / 2]
    rows = sorted({(stages.index(r.stage), r.worker) for r in shown})
    figure = Figure(figsize=(11, 1.2 + 0.28 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title, xlabel="milliseconds")
    origin = middle - seconds / 2
    for record in shown:
        start, width = (record.start - origin) * 1e3, (record.end - record.start) * 1e3
        stage = stages.index(record.stage)
        row, colour = rows.index((stage, record.worker)), _COLOURS[stage % len(_COLOURS)]
        axes.barh(row, width, left=start, color=colour, edgecolor="white", lw=0.5)
        if width > 12 * seconds:  # a narrower bar has no room for a number
            axes.text(start + width / 2, row, str(record.size), ha="center", va="center",
                      color="white", fontsize=7, clip_on=True)  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{stages[s]} {w}" for s, w in rows], fontsize=7)
    axes.set_xlim(0, seconds * 1e3)
    axes.invert_yaxis()
    figure.savefig(path, dpi=130)
