"""``refine-itr bench table1``, ``table3``, ``table4``: the paper's, with this machine's figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.table import Table

from refine_itr.cli.bench.options import CountOption, DimOption, ImagesOption, QuickOption
from refine_itr.cli.options import JsonOption, ModelOption, PrecisionOption, ThreadsOption
from refine_itr.cli.output import note_other_load, print_json, print_line, stdout
from refine_itr.types import Precision

if TYPE_CHECKING:
    from refine_itr.bench.encoders import Sizes
    from refine_itr.bench.table1_table3 import Line, Setting


_TIMES = {
    "dim": "D",
    "batch": "batch",
    "paper_ms": "paper",
    "as_written_median_ms": "as written",
    "folded_median_ms": "folded",
}
_SIZES = {
    "dim": "D",
    "paper_mb": "paper (MB)",
    "vsrn_mib": "VSRN",
    "light_gcn_mib": "Light-GCN",
    "folded_mib": "folded, in memory",
}


def bench_table1(
    dim: DimOption = None,
    precision: PrecisionOption = "fp32",
    quick: QuickOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Print the times of the paper's Table 1 with ours: as written and folded."""
    from refine_itr.bench.table1_table3 import table1

    lines = _measured(table1, dim, precision, quick, threads, json)
    if lines is not None:
        title = "Image encoder, median milliseconds an image"
        _print_table(title, {"model": ""} | _TIMES, lines)


def bench_table3(
    dim: DimOption = None,
    precision: PrecisionOption = "fp32",
    quick: QuickOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Print the times and weights of the paper's Table 3 with ours: as written and folded."""
    from refine_itr.bench.table1_table3 import table3

    lines = _measured(table3, dim, precision, quick, threads, json)
    if lines is not None:
        title = "Light-GCN, image encoder, median milliseconds an image"
        _print_table(title, _TIMES, lines)
        first = {line["dim"]: line for line in lines}
        _print_table("Weights of image and text encoder, MiB", _SIZES, first.values())


def _measured(
    table: Callable[[Sizes, Setting], Iterator[Line]],
    dim: list[int] | None,
    precision: Precision,
    quick: bool,
    threads: int,
    json: bool,
) -> list[Line] | None:
    """Returns the lines, or None where they are already printed as JSON."""
    from refine_itr import _core
    from refine_itr.bench.encoders import QUICK_SIZES, Sizes
    from refine_itr.bench.machine import describe_machine
    from refine_itr.bench.table1_table3 import Setting
    from refine_itr.bench.timing import FULL, QUICK

    busy = note_other_load()
    sizes = QUICK_SIZES if quick else Sizes()
    used = threads or _core.max_threads()
    setting = Setting(precision, used, QUICK if quick else FULL)
    lines = list(table(replace(sizes, dims=dim) if dim else sizes, setting))
    if not json:
        return lines
    machine = {**describe_machine(), "threads": used}
    print_json({"machine": machine, "other_load": busy, "rows": lines})
    return None


def _print_table(title: str, columns: Mapping[str, str], lines: Iterable[Line]) -> None:
    table = Table()
    for label in columns.values():
        table.add_column(label, justify="right")
    for line in lines:
        table.add_row(*(_cell(line[key]) for key in columns))
    stdout.print(title, style="bold")
    stdout.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def bench_table4(
    images: ImagesOption = None,
    count: CountOption = 800,
    model: ModelOption = "default",
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Print the paper's Table 4 with this machine's columns beside it."""
    from refine_itr.bench.table4 import table4

    busy = note_other_load()
    columns = table4(model, images, count=count, threads=threads)
    if json:
        print_json({"other_load": busy, "columns": columns})
        return
    table = Table(title="Milliseconds a picture", title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(str(column["name"]), justify="right")
    for key, label in (
        ("detect_ms", "image feature extraction"),
        ("reason_ms", "semantic reasoning"),
        ("total_ms", "whole retrieval"),
        ("images_per_s", "pictures a second"),
        ("delay_ms", "delay"),
    ):
        table.add_row(label, *(_number(column[key]) for column in columns))
    stdout.print(table)
    for column in columns:
        print_line(f"{column['name']}: {column['note']}")


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.1f}"
