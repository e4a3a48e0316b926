"""``refine-itr bench pipeline``: stages alone, overlapped, and their delay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refine_itr.cli.bench.options import CountOption, ImagesOption
from refine_itr.cli.options import JsonOption, ModelOption, PlanOption, ThreadsOption, finite
from refine_itr.cli.output import note_other_load, print_json, print_line, stdout
from refine_itr.cli.plan import print_plan

if TYPE_CHECKING:
    from refine_itr.bench.pipeline import Report


def bench_pipeline(
    images: ImagesOption = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(
            "--rate",
            min=0.1,
            help="Arrivals a second whose delay to measure; repeat.",
            callback=finite,
        ),
    ] = None,
    count: CountOption = 800,
    chips: Annotated[int, typer.Option("--chips", min=1, help="Of the stand-in accelerator.")] = 24,
    chip_ms: Annotated[
        float,
        typer.Option(
            "--chip-ms", min=0.1, help="Time of a stand-in chip for a picture.", callback=finite
        ),
    ] = 403.2,
    dim: Annotated[int, typer.Option("--dim", min=1, help="D of the stand-in's encoder.")] = 1024,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the run with the stand-in (.svg, .png).")
    ] = None,
    model: ModelOption = "default",
    plan: PlanOption = None,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure the stages, overlapped and not, and the delay at arrival rates.

    Twice: with a stand-in for an accelerator that only takes its time (by default that of the
    paper's 24 chips) and a real encoder of the paper's size; and on this machine's CPU alone,
    from JPEG bytes to ranked sentences.
    """
    from refine_itr.bench.cases import cpu_case, stand_in_case
    from refine_itr.bench.gantt import check_drawing, draw
    from refine_itr.bench.machine import describe_machine
    from refine_itr.bench.pipeline import measure
    from refine_itr.profiling import sample_pictures

    # What can fail at once fails before minutes of measuring.
    if plot is not None:
        check_drawing(plot)
    pictures = sample_pictures(images)
    rates = rate or [20.0]
    busy = note_other_load()
    stand_in = measure(
        stand_in_case(chips=chips, chip_s=chip_ms / 1e3, dim=dim, threads=threads),
        count=count,
        rates=rates,
        arrivals=count // 2,
    )
    if plot is not None:
        draw(
            stand_in.records,
            list(stand_in.alone_per_s),
            plot,
            title=f"{chips} stand-in chips of {chip_ms:g} ms a picture, encoder at D = {dim}",
            seconds=3 * chip_ms / 1e3,
        )
    with cpu_case(model, pictures, plan, threads) as case:
        cpu = measure(case, count=count, rates=rates, arrivals=count // 2)
    if json:
        print_json(
            {
                "machine": describe_machine(),
                "other_load": busy,
                "stand_in": stand_in.to_json(),
                "cpu": cpu.to_json(),
            }
        )
        return
    _print_report("stand-in accelerator, real encoder", stand_in)
    _print_report("CPU alone, from JPEG to ranked sentences", cpu)


def _print_report(title: str, report: Report) -> None:
    stdout.print(title, style="bold", highlight=False)
    print_plan(report.plan)
    lines = [
        f"overlapped: {report.images_per_s:.1f} pictures a second; "
        f"one batch after the other: {report.sequential_per_s:.1f}",
        f"slowest stage alone: {report.bottleneck}, "
        f"{report.alone_per_s[report.bottleneck]:.1f} a second; efficiency {report.efficiency:.3f}",
    ]
    if report.core_bound_per_s is not None:
        lines.append(f"most that the cores allow: {report.core_bound_per_s:.1f} a second")
    lines.append(f"one picture alone: {report.service_ms:.1f} ms")
    lines += [
        f"at {rate:g} arrivals a second: delay {d.mean:.0f} ms mean, {d.p50:.0f} median, "
        f"{d.p90:.0f} p90, {d.p99:.0f} p99: {d.mean / report.service_ms:.2f} times one picture "
        f"alone on the mean, {d.p99 / report.service_ms:.2f} at p99"
        for rate, d in report.delays.items()
    ]
    for line in lines:
        print_line(line)
