"""``refine-itr bench table4``: the paper's tables with this machine's figures."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from refine_itr.cli.bench.options import CountOption, ImagesOption
from refine_itr.cli.options import JsonOption, ModelOption, ThreadsOption
from refine_itr.cli.output import print_json, print_note, stdout


def bench_table4(
    images: ImagesOption = None,
    count: CountOption = 800,
    model: ModelOption = "default",
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Print the paper's Table 4 with this machine's columns beside it."""
    from refine_itr.bench.machine import other_load
    from refine_itr.bench.table4 import table4

    busy = other_load()
    if busy:
        print_note(busy)
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
        stdout.print(f"{column['name']}: {column['note']}", markup=False, highlight=False)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.1f}"
