"""``refine-itr simulate``: what hardware that is not there would do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from refine_itr.cli.options import JsonOption, finite
from refine_itr.cli.output import print_json, print_line, stdout
from refine_itr.errors import InvalidInputError
from refine_itr.planning import Plan, Simulation, simulate_sequential
from refine_itr.planning import simulate as run
from refine_itr.planning.paper import (
    BATCH,
    CARDS,
    CHIP_S,
    CHIPS_PER_CARD,
    REASONING_S,
    paper_plan,
)

_ITEMS = 4000
_SPARE = 0.8  # share of its capacity that a server is planned for
_MOST_CARDS = 64

Row = dict[str, object]


def simulate(
    preset: Annotated[
        str | None, typer.Option("--preset", help="'paper': six Atlas cards and a CPU.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="What `refine-itr plan` wrote, perhaps edited.")
    ] = None,
    cards: Annotated[
        int | None,
        typer.Option("--cards", min=1, max=10_000, help="Accelerator cards of the preset."),
    ] = None,
    encoder_ms: Annotated[
        float | None,
        typer.Option(
            "--encoder-ms", min=0.01, help="Our encoder's time for an image.", callback=finite
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=0.01, help="Arrivals a second, at random times.", callback=finite
        ),
    ] = None,
    goal_delay: Annotated[
        float | None,
        typer.Option("--goal-delay", min=1, help="Milliseconds, mean, at --rate.", callback=finite),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Predict throughput, utilisation and delay of a plan, or of the paper's server.

    `--preset paper` gives Table 4 as published (batches of 24, one stage after the other), then
    the same cards overlapped, then with our encoder's time. `--rate 60 --goal-delay 500` tells
    how many cards that takes.
    """
    if (preset is None) == (plan is None) or preset not in (None, "paper"):
        raise InvalidInputError("expected either --preset paper or --plan FILE")
    if goal_delay is not None and (rate is None or preset is None):
        raise InvalidInputError("--goal-delay: expected --preset paper and --rate with it")
    if plan is not None and (cards is not None or encoder_ms is not None):
        raise InvalidInputError("--cards, --encoder-ms: expected --preset paper with them")
    if plan is not None:
        rows = {"plan": _row(run(Plan.load(plan), rate=rate, items=_ITEMS))}
    else:
        rows = _paper_rows(cards or CARDS, encoder_ms, rate)
    answer = None
    if rate is not None and goal_delay is not None:
        answer = _cards_needed(rate, goal_delay, (encoder_ms or 1e3 * REASONING_S) / 1e3)
    if json:
        print_json({**rows, **({"cards_needed": answer} if answer else {})})
        return
    _print(rows)
    if answer:
        print_line(str(answer["text"]))


def _paper_rows(cards: int, encoder_ms: float | None, rate: float | None) -> dict[str, Row]:
    rows = {
        "as_published": _row(simulate_sequential(paper_plan(), BATCH)),
        "overlapped": _row(run(paper_plan(cards=cards), rate=rate, items=_ITEMS)),
    }
    if encoder_ms is not None:
        faster = paper_plan(cards=cards, encoder_s=encoder_ms / 1e3)
        rows["our_encoder"] = _row(run(faster, rate=rate, items=_ITEMS))
    return rows


def _row(found: Simulation) -> Row:
    return {
        "ms_per_image": 1e3 / found.throughput,
        "images_per_s": found.throughput,
        "delay_ms": 1e3 * found.delay_mean_s,
        "delay_p50_ms": 1e3 * found.delay_p50_s,
        "delay_p90_ms": 1e3 * found.delay_p90_s,
        "delay_p99_ms": 1e3 * found.delay_p99_s,
        "utilisation": found.utilisation,
    }


def _cards_needed(rate: float, goal_ms: float, encoder_s: float) -> dict[str, object]:
    """Returns the fewest cards for a rate and a mean delay, or why no number is enough."""
    server = paper_plan(encoder_s=encoder_s)
    # The cards' stage costs the CPU nothing, the others share its cores.
    cpu_most = _SPARE * server.cores / sum(stage.core_seconds for stage in server.stages)
    if rate > cpu_most:
        text = (
            f"no number of cards: the CPU, which encodes and matches, keeps up with "
            f"{cpu_most:.1f} images a second with a fifth to spare; give a faster encoder with "
            "--encoder-ms"
        )
        return {"cards": None, "text": text}
    enough = math.ceil(rate * CHIP_S / _SPARE / CHIPS_PER_CARD)
    best = math.inf
    for cards in range(enough, max(enough, _MOST_CARDS) + 1):
        plan = paper_plan(cards=cards, encoder_s=encoder_s)
        delay = 1e3 * run(plan, rate=rate, items=_ITEMS).delay_mean_s
        if delay <= goal_ms:
            text = f"{cards} cards: {rate:g} images a second with {delay:.0f} ms mean delay"
            return {"cards": cards, "delay_ms": delay, "text": text}
        if delay > 0.99 * best:  # more cards bring nothing any more
            break
        best = min(best, delay)
    text = (
        f"no number of cards: one chip takes {1e3 * CHIP_S:.0f} ms for an image alone; "
        f"{enough} cards reach {rate:g} images a second, and the least mean delay is {best:.0f} ms"
    )
    return {"cards": None, "cards_for_rate": enough, "least_delay_ms": best, "text": text}


def _print(rows: dict[str, Row]) -> None:
    table = Table(show_header=True)
    headings = (
        "",
        "ms an image",
        "images a second",
        "delay ms: mean",
        "p50",
        "p90",
        "p99",
        "in use",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        numbers = [row[key] for key in list(row)[:-1]]
        used = row["utilisation"]
        assert isinstance(used, dict)
        table.add_row(
            name.replace("_", " "),
            *(f"{number:.1f}" for number in numbers),
            Text(", ".join(f"{stage} {share:.0%}" for stage, share in used.items())),
        )
    stdout.print(table)
