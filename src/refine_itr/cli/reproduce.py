"""``refine-itr reproduce``: the paper's tables, trained and measured on photographs at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from refine_itr.cli.options import JsonOption
from refine_itr.cli.output import (
    INTERRUPTED,
    note_other_load,
    print_json,
    print_line,
    print_note,
    stdout,
)
from refine_itr.cli.training_display import require_training, training_display
from refine_itr.errors import InvalidInputError

if TYPE_CHECKING:
    from refine_itr.reproduction.settings import Settings
    from refine_itr.training.run import Hooks

reproduce = typer.Typer(
    no_args_is_help=True, help="Check the paper's tables on photographs (needs the extra 'train')."
)

DataOption = Annotated[
    Path, typer.Option("--data", help="A folder with train.jsonl, val.jsonl and images/.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Runs and results; finished runs are not trained again.")
]
EpochsOption = Annotated[int, typer.Option("--epochs", help="Passes over the photographs.")]
BatchOption = Annotated[int, typer.Option("--batch", help="Photographs a step.")]
DimsOption = Annotated[str, typer.Option("--dims", help="D of the models, with commas.")]
SeedsOption = Annotated[
    int, typer.Option("--seeds", help="Seeds at D = 1024 (else the least D); one elsewhere.")
]

_OUT = Path("reproduction")
_DIMS = "512,1024,2048"
_EPOCHS, _BATCH, _SEEDS = 4, 64, 3

_SAVED = {
    "weights_mib": "weights",
    "encode_ms": "encode time",
    "as_written_ms": "encode time as written",
    "folded_ms": "folded",
}
_NAMES = {"vsrn-gcn": "VSRN-GCN", "light-gcn": "Light-GCN"}


@reproduce.command("table1")
def reproduce_table1(
    data: DataOption,
    out: OutOption = _OUT,
    epochs: EpochsOption = _EPOCHS,
    seeds: SeedsOption = _SEEDS,
    dims: DimsOption = _DIMS,
    batch: BatchOption = _BATCH,
    json: JsonOption = False,
) -> None:
    """Train VSRN-GCN and Light-GCN side by side: recall, encode time, size.

    A killed run goes on where it was when the same command is given again.
    """
    require_training()
    from refine_itr.reproduction import reproduce as reproduction

    report = _run(reproduction.reproduce_table1, data, out, _settings(epochs, batch, dims, seeds))
    _print(report, json, "Table 1", _pair_sentences)


@reproduce.command("table3")
def reproduce_table3(
    data: DataOption,
    out: OutOption = _OUT,
    epochs: EpochsOption = _EPOCHS,
    seeds: SeedsOption = _SEEDS,
    dims: DimsOption = _DIMS,
    batch: BatchOption = _BATCH,
    json: JsonOption = False,
) -> None:
    """Train Light-GCN at several D: what a smaller model saves, and what it costs.

    Its runs are among those of table1: with the same --out they are trained once.
    """
    require_training()
    from refine_itr.reproduction import reproduce as reproduction

    report = _run(reproduction.reproduce_table3, data, out, _settings(epochs, batch, dims, seeds))
    _print(report, json, "Table 3", _size_sentences)


def _settings(epochs: int, batch: int, dims: str, seeds: int) -> Settings:
    from refine_itr.reproduction.settings import Settings

    try:
        numbers = tuple(int(dim) for dim in dims.split(","))
    except ValueError as exc:
        raise InvalidInputError(f"--dims: expected numbers with commas; got {dims!r}") from exc
    return Settings(epochs=epochs, batch_size=batch, dims=numbers, seeds=seeds)


def _run(
    function: Callable[[Path, Path, Settings, Hooks], dict[str, Any] | None],
    data: Path,
    out: Path,
    settings: Settings,
) -> dict[str, Any]:
    from refine_itr.bench.machine import describe_machine

    busy = note_other_load()
    with training_display() as hooks:
        report = function(data, out, settings, hooks)
    if report is None:
        print_note("stopped; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    return {**report, "machine": describe_machine(), "other_load": busy}


def _print(
    report: dict[str, Any],
    json: bool,
    title: str,
    sentences: Callable[[dict[str, Any]], list[str]],
) -> None:
    if json:
        print_json(report)
        return
    settings, data = report["settings"], report["data"]
    stdout.print(_recall_table(report, title))
    stdout.print(_cost_table(report, title))
    note = (
        f"Epochs of every model: {settings['epochs']}, of {data['photographs']} photographs; "
        "± is the standard deviation over seeds."
    )
    for text in [note, *sentences(report)]:
        print_line(text)


def _recall_table(report: dict[str, Any], title: str) -> Table:
    """Recall at 1, 5 and 10 both ways; the paper's rows below ours."""
    photographs = report["data"]["measured_photographs"]
    table = _table(
        f"{title}: recall at 1, 5, 10 in percent, {photographs} photographs",
        ("D", "seeds", "image to text", "text to image", "rsum"),
    )
    for row in [*report["models"], *report["paper"]]:
        table.add_row(
            _NAMES[row["graph"]],
            str(row["dim"]),
            str(row.get("seeds", "paper")),
            _recalls(row["i2t"]),
            _recalls(row["t2i"]),
            _with_spread(row["rsum"], row.get("rsum_spread")),
            style=_style(row),
        )
    return table


def _cost_table(report: dict[str, Any], title: str) -> Table:
    """What an encoder takes; the paper gives one time a row."""
    batch = report["settings"]["timed_batch"]
    table = _table(
        f"{title}: encode time in ms a photograph (batch {batch}), and size",
        ("D", "", "as written", "folded", "M parameters", "weights MB"),
    )
    for row in [*report["models"], *report["paper"]]:
        table.add_row(
            _NAMES[row["graph"]],
            str(row["dim"]),
            "" if "seeds" in row else "paper",
            _number(row.get("as_written_ms", row.get("encode_ms")), 2),
            _number(row.get("folded_ms"), 2),
            _number(row["parameters"] / 1e6 if "parameters" in row else None, 1),
            _number(row["weights_mib"], 1),
            style=_style(row),
        )
    return table


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _style(row: dict[str, Any]) -> str:
    return "" if "seeds" in row else "dim"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _recalls(values: list[float]) -> str:
    return " ".join(f"{value:.1f}" for value in values)


def _with_spread(value: float, spread: float | None) -> str:
    return f"{value:.1f}" if spread is None else f"{value:.1f} ± {spread:.1f}"


def _pair_sentences(report: dict[str, Any]) -> list[str]:
    sentences = [
        f"D = {found['dim']}, {_count(found['seeds'])}: Light-GCN's mean recall differs from "
        f"VSRN-GCN's by {_points(found['recall_gain'], found['recall_gain_spread'])} "
        f"(claim: at most one below): {_verdict(found['recall_claim_holds'])}. As written it is "
        f"{found['speed_ratio_as_written']:.2f} times as fast (claim: about 1.6): "
        f"{_verdict(found['speed_claim_holds'])}; folded {found['speed_ratio_folded']:.2f} times."
        for found in report["findings"]
    ]
    (paper,) = report["paper_findings"]
    sentences.append(
        f"The paper, D = {paper['dim']}: {_points(paper['recall_gain'], None)}, "
        f"{paper['speed_ratio_as_written']:.2f} times as fast."
    )
    return sentences


def _size_sentences(report: dict[str, Any]) -> list[str]:
    return [
        _size_sentence(who, found)
        for who, key in (("Here", "findings"), ("The paper", "paper_findings"))
        for found in report[key]
    ]


def _size_sentence(who: str, found: dict[str, Any]) -> str:
    saved = ", ".join(f"{_SAVED[key]} {-percent:+.1f} %" for key, percent in found["saved"].items())
    return (
        f"{who}, D = {found['dim']} instead of {found['against']}: {saved}, mean recall "
        f"{_points(-found['recall_lost'], None)}."
    )


def _points(value: float, spread: float | None) -> str:
    shown = f"{round(value, 1) + 0.0:+.1f}"  # + 0.0: no minus before a zero
    return f"{shown} points" if spread is None else f"{shown} ± {spread:.1f} points"


def _count(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"{seeds} seeds"


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold"
