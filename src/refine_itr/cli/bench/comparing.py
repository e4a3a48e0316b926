"""``refine-itr bench kernels``, ``encoders``, ``topk``: ours beside other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Annotated

import typer

from refine_itr.cli.bench.options import DimOption, PrecisionOption, QuickOption
from refine_itr.cli.options import JsonOption, ThreadsOption
from refine_itr.cli.output import print_json, print_line, print_note, stderr, stdout

_LEGEND = (
    "Times are min / median. x: the fastest peer's min over ours; above 1, ours is faster. "
    "As-written: peers run the paper's equations; folded: our folded graph. --json has all peers."
)

if TYPE_CHECKING:
    from refine_itr.bench.comparison import Bench
    from refine_itr.bench.limits import Limits
    from refine_itr.bench.report import Row


def bench_encoders(
    dim: DimOption = None,
    precision: PrecisionOption = None,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Also torch.compile: needs a C++ compiler, and minutes."),
    ] = False,
    quick: QuickOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Compare the encoders with PyTorch, ONNX Runtime, OpenVINO and NumPy.

    Each peer runs the paper's equations as written, and our folded graph. Times are those of a
    batch divided by its images or sentences.
    """
    from refine_itr.bench.comparison import open_bench
    from refine_itr.bench.encoders import (
        PEERS,
        QUICK_SIZES,
        Sizes,
        compare_encoders,
        image_tasks,
        text_tasks,
    )

    sizes = QUICK_SIZES if quick else Sizes()
    if dim:
        sizes = replace(sizes, dims=dim, text_dims=dim)
    peers = (*PEERS, "pytorch_compiled") if compiled else PEERS
    bench = open_bench(peers, threads=threads, wanted=precision, quick=quick)
    tasks = chain(
        image_tasks("light-gcn", sizes, bench.threads),
        image_tasks("vsrn-gcn", sizes, bench.threads),
        text_tasks(sizes, bench.threads),
    )
    print_comparison(bench, compare_encoders(tasks, bench), json)


def bench_kernels(
    dim: DimOption = None,
    precision: PrecisionOption = None,
    quick: QuickOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Compare linear, gru, l2norm and the graph layers, each by itself, with the same peers.

    Here both sides compute the same form of a graph layer: as written, then folded. Times are
    those of a call for a batch of images.
    """
    from refine_itr.bench.comparison import open_bench
    from refine_itr.bench.encoders import PEERS, QUICK_SIZES, Sizes
    from refine_itr.bench.kernels import compare_kernels, kernels_of

    sizes = QUICK_SIZES if quick else Sizes()
    if dim:
        sizes = replace(sizes, dims=dim)
    bench = open_bench(PEERS, threads=threads, wanted=precision, quick=quick)
    print_comparison(bench, compare_kernels(kernels_of(sizes), bench), json)


def bench_top_k(
    large: Annotated[
        bool, typer.Option("--large", help="Also a million of 512: gigabytes of memory.")
    ] = False,
    precision: PrecisionOption = None,
    quick: QuickOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Compare exact search with FAISS, usearch, PyTorch and NumPy.

    Times are those of a call with all its queries. With a bf16 or int8 gallery our results are
    still those of fp32; peers with one may miss some.
    """
    from refine_itr.bench.comparison import open_bench
    from refine_itr.bench.top_k import LARGE_SIZES, PEERS, QUICK_SIZES, SIZES, compare_top_k

    sizes = QUICK_SIZES if quick else SIZES + (LARGE_SIZES if large else ())
    bench = open_bench(PEERS, threads=threads, wanted=precision, quick=quick)
    print_comparison(bench, compare_top_k(sizes, bench), json)


def print_comparison(bench: Bench, rows: Iterable[Row], json: bool) -> None:
    """Measures the rows and prints them, a stage as soon as it is done.

    Args:
        bench: What they are measured with.
        rows: Measured one by one.
        json: As one object at the end.
    """
    if bench.busy:
        print_note(bench.busy)
    for name, reason in bench.missing.items():
        print_note(f"not compared: {name} ({reason})")
    rows = _watched(rows)
    if json:
        print_json(bench.to_json(rows))
        return
    print_line(_limits_line(bench.limits))
    for _, found in groupby(rows, key=lambda row: row.work.stage):
        _print_stage(found)
    print_line(_LEGEND)


def _watched(rows: Iterable[Row]) -> Iterator[Row]:
    with stderr.status("measuring") as status:
        for row in rows:
            status.update(f"done: {row.work.stage}, {_sizes(row)}, {row.work.precision}")
            yield row


def _sizes(row: Row) -> str:
    return ", ".join(f"{name} {size:,}" for name, size in row.work.shape.items())


def _limits_line(limits: Limits) -> str:
    shown = [f"{name} {value:.0f} G operations/s" for name, value in limits.gops.items()]
    shown.append(f"reading {limits.read_gb_per_s:.1f} GB/s")
    return f"limits of this machine: {', '.join(shown)}"


def _print_stage(rows: Iterator[Row]) -> None:
    """Prints lines, not a table: a row shows as soon as it is measured, and none is folded."""
    for number, row in enumerate(rows):
        if number == 0:
            stdout.print(f"{row.work.stage}, milliseconds {row.work.item}", style="bold")
        peer = row.fastest
        shown = [
            f"{_sizes(row):28} {row.work.precision:4} ours {_times(row, 'ours'):19}",
            f"{100 * row.fraction_of_limit:3.0f} % of limit",
            f"{row.work.baseline:10} {row.ratio:5.2f} x {peer} {_times(row, peer)}" if peer else "",
        ]
        print_line("  ".join(shown).rstrip())


def _times(row: Row, name: str) -> str:
    return f"{row.min_ms(name):.3f} / {row.median_ms(name):.3f}"
