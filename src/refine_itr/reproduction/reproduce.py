"""A whole table: its runs one after the other, their times, and the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refine_itr.errors import InvalidInputError
from refine_itr.reproduction import paper
from refine_itr.reproduction.dataset import DataSet, read_dataset
from refine_itr.reproduction.one_run import Row, train_run
from refine_itr.reproduction.settings import LIGHT, VSRN, Run, Settings, paper_recipe
from refine_itr.reproduction.tables import (
    Timings,
    model_lines,
    model_name,
    pair_findings,
    paper_pair,
    paper_sizes,
    size_findings,
)
from refine_itr.reproduction.timing import BATCH, time_encoders
from refine_itr.training.memory import keep_large_blocks
from refine_itr.training.run import BUNDLE, Hooks

Report = dict[str, Any]
_CACHE = "cache"
_RUNS = "runs"


def reproduce_table1(folder: Path, out: Path, settings: Settings, hooks: Hooks) -> Report | None:
    """Trains VSRN-GCN and Light-GCN side by side and writes ``out/table1.json``.

    Args:
        folder: ``train.jsonl``, ``val.jsonl`` and ``images/``.
        out: Where runs and results go; finished runs found there are not trained again.
        settings: The budget.
        hooks: Told of the progress.

    Returns:
        The report, or None if ``hooks.should_stop`` ended it; the same call goes on then.

    Raises:
        RefineItrError: Data, settings or checkpoints are not as expected.
    """
    finished = _reproduce(settings.runs((VSRN, LIGHT)), folder, out, settings, hooks)
    if finished is None:
        return None
    return _write(
        out / "table1.json",
        finished,
        published=paper.TABLE1,
        findings=pair_findings(finished.rows, finished.timings),
        paper_findings=[paper_pair()],
    )


def reproduce_table3(folder: Path, out: Path, settings: Settings, hooks: Hooks) -> Report | None:
    """Trains Light-GCN at every D and writes ``out/table3.json``; as ``reproduce_table1``."""
    finished = _reproduce(settings.runs((LIGHT,)), folder, out, settings, hooks)
    if finished is None:
        return None
    return _write(
        out / "table3.json",
        finished,
        published=paper.TABLE3,
        findings=size_findings(finished.lines),
        paper_findings=paper_sizes(),
    )


@dataclass(frozen=True)
class _Finished:
    data: DataSet
    settings: Settings
    rows: list[Row]
    timings: Timings

    @property
    def lines(self) -> list[Row]:
        return model_lines(self.rows, self.timings)


def _reproduce(
    runs: Sequence[Run], folder: Path, out: Path, settings: Settings, hooks: Hooks
) -> _Finished | None:
    keep_large_blocks()
    data = read_dataset(folder, out / _CACHE, hooks.progress)
    rows = _train_all(runs, data, out, settings, hooks)
    if rows is None:
        return None
    return _Finished(data, settings, rows, _time_all(runs, data, out, hooks))


def _write(
    path: Path,
    finished: _Finished,
    *,
    published: Sequence[paper.PublishedRow],
    findings: list[dict[str, Any]],
    paper_findings: list[dict[str, Any]],
) -> Report:
    data = finished.data
    report = {
        "data": {
            "photographs": data.train.images,
            "sentences": len(data.train.sentences),
            "measured_photographs": data.val.images,
            "measured_sentences": len(data.val.sentences),
        },
        "settings": {**vars(finished.settings), "timed_batch": min(BATCH, data.val.images)},
        "models": finished.lines,
        "paper": [row.to_json() for row in published],
        "findings": findings,
        "paper_findings": paper_findings,
        "runs": finished.rows,
    }
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return report


def _train_all(
    runs: Sequence[Run], data: DataSet, out: Path, settings: Settings, hooks: Hooks
) -> list[Row] | None:
    if settings.batch_size > data.train.images:
        raise InvalidInputError(
            f"--batch: expected at most the {data.train.images} photographs to train on; "
            f"got {settings.batch_size}"
        )
    rows = []
    for run in runs:
        recipe = paper_recipe(run, settings)
        row = train_run(run, recipe, data, out / _RUNS / run.name, out / _CACHE, hooks)
        if row is None:
            return None
        rows.append(row)
    return rows


def _time_all(runs: Sequence[Run], data: DataSet, out: Path, hooks: Hooks) -> Timings:
    """One seed of each model: the weights do not matter to the time."""
    bundles = {
        model_name(run.graph, run.dim): out / _RUNS / run.name / BUNDLE
        for run in runs
        if run.seed == 0
    }
    hooks.progress("timing the encoders", 0, 1)
    assert data.val.features is not None
    return time_encoders(bundles, np.ascontiguousarray(data.val.features[:BATCH], np.float32))
