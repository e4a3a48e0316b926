"""``refine-itr profile`` and ``plan``: what each stage takes here, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from refine_itr.cli.options import (
    AllowFallbackOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    ThreadsOption,
)
from refine_itr.cli.output import print_json, print_line, stdout, write_json
from refine_itr.planning import Plan, Profile, make_plan, more_devices, parse_goal

GoalOption = Annotated[
    str,
    typer.Option(
        "--goal",
        help="'max-throughput', 'throughput=60' (pictures a second, with the least delay) or "
        "'delay=300' (milliseconds, with the most throughput).",
    ),
]


def profile(
    out: Annotated[Path, typer.Argument(help="The profile's JSON file, to be written.")],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="A folder of your photographs; by default made-up ones."),
    ] = None,
    gallery: Annotated[
        int, typer.Option("--gallery", min=1, help="Sentences that each photograph is compared to.")
    ] = 1000,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
) -> None:
    """Time every stage at several batch sizes, on every device and number of threads.

    It takes some ten seconds on an idle machine; other work on it spoils the figures.
    """
    from refine_itr.profiling import profile_model, sample_pictures

    measured = profile_model(
        model,
        sample_pictures(images),
        device=device,
        threads=threads,
        allow_fallback=allow_fallback,
        gallery=gallery,
    )
    write_json(out, measured.to_json())
    table = Table(title=Text(f"{out}: time of a batch of b, in ms"), title_justify="left")
    for heading in ("stage", "device", "threads", "workers", "t", "+ a b", "a second at b = 8"):
        table.add_column(heading, justify="right")
    for name, options in measured.stages.items():
        for option in options:
            time = option.time
            table.add_row(
                Text(name),
                Text(option.device),
                str(option.threads),
                f"up to {option.max_workers}",
                f"{time.setup_s * 1e3:.2f}",
                f"{time.per_item_s * 1e3:.3f}",
                f"{8 / time(8):.0f}",
            )
    stdout.print(table)


def plan(
    profile: Annotated[Path, typer.Argument(help="What `refine-itr profile` wrote.")],
    goal: GoalOption = "max-throughput",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the plan here: edit it, give it back with --plan."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Choose placement, workers, threads and batch sizes for a goal; say what bounds them."""
    measured = Profile.load(profile)
    made = make_plan(measured, parse_goal(goal))
    if out is not None:
        write_json(out, made.to_json())
    if json:
        print_json(made.to_json())
        return
    print_plan(made)
    for line in more_devices(measured, made):
        print_line(line)


def print_plan(made: Plan) -> None:
    """Prints a plan as a table and its prediction as a line."""
    table = Table(title=Text(f"goal: {made.goal}"), title_justify="left")
    for heading in (
        "stage",
        "device",
        "workers",
        "threads",
        "batch up to",
        "ms a batch",
        "a second",
    ):
        table.add_column(heading, justify="right")
    for stage in made.stages:
        table.add_row(
            Text(stage.name),
            Text(stage.device),
            str(stage.workers),
            str(stage.threads),
            str(stage.cap),
            f"{stage.measured(stage.cap) * 1e3:.1f}",
            f"{stage.capacity:.0f}",
        )
    stdout.print(table)
    if made.throughput is not None and made.delay_s is not None:
        print_line(
            f"predicted: {made.throughput:.1f} pictures a second, "
            f"{made.delay_s * 1e3:.0f} ms from picture to result"
        )
