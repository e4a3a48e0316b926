"""One run, from its random weights to a bundle and its recall; it goes on where it was killed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refine_itr.bundle import read_bundle, write_bundle
from refine_itr.errors import InvalidInputError
from refine_itr.evaluation import evaluate
from refine_itr.model import load
from refine_itr.reproduction.dataset import DataSet
from refine_itr.reproduction.settings import Run
from refine_itr.training.checkpoint import load_checkpoint
from refine_itr.training.loop import BEST, LAST, METRICS, Trainer
from refine_itr.training.modules import bundle_weights
from refine_itr.training.prepare import Prepared, prepare_splits
from refine_itr.training.recipe import Recipe
from refine_itr.training.run import BUNDLE, Hooks
from refine_itr.writing import put_in_place

ROW = "row.json"
_CHECKPOINT_STEPS = 20
_MIB = 1 << 20

Row = dict[str, Any]


def train_run(
    run: Run, recipe: Recipe, data: DataSet, folder: Path, cache: Path, hooks: Hooks
) -> Row | None:
    """Trains a model in ``folder``, writes its bundle there and measures its recall.

    A finished run is read from its ``row.json``, an interrupted one goes on.

    Returns:
        The run's row, or None if ``hooks.should_stop`` ended it.

    Raises:
        InvalidInputError: The folder holds a run with other settings or data.
        RefineItrError: A checkpoint is damaged.
    """
    made_from = {"recipe": dataclasses.asdict(recipe), "data": data.fingerprint}
    if (folder / ROW).is_file():
        return _read_row(folder / ROW, made_from)
    folder.mkdir(parents=True, exist_ok=True)
    prepared = prepare_splits(recipe, data.train, data.val, cache, hooks.progress)
    if not _train(prepared, run, folder, hooks):
        return None
    _write_bundle(prepared, run, folder, data)
    row = {**dataclasses.asdict(run), **_measure(folder, data), "made_from": made_from}
    _write_row(folder, row)
    return row


def _train(prepared: Prepared, run: Run, folder: Path, hooks: Hooks) -> bool:
    trainer = Trainer(
        prepared,
        folder,
        on_step=lambda epoch, done, steps: hooks.progress(
            f"{run.name} epoch {epoch + 1}/{prepared.recipe.epochs}", done, steps
        ),
        on_epoch=lambda line: hooks.on_epoch({"run": run.name, **line}),
        should_stop=hooks.should_stop,
        checkpoint_steps=_CHECKPOINT_STEPS,
    )
    if (folder / LAST).is_file():
        trainer.resume()
    else:
        (folder / METRICS).unlink(missing_ok=True)
    return trainer.run()


def _write_bundle(prepared: Prepared, run: Run, folder: Path, data: DataSet) -> None:
    """In float32, as the paper's models are."""
    prepared.learner.load_state_dict(load_checkpoint(folder / BEST)["learner"])
    weights = bundle_weights(prepared.learner.encoders)
    assert data.detector.detector_path is not None  # it found the regions
    write_bundle(
        folder / BUNDLE,
        prepared.learner.config,
        {name: weight.numpy() for name, weight in weights.items()},
        prepared.tokenizer.to_str(),
        data.detector.detector_path.read_bytes(),
        f"# {run.name}\n\nA run of `refine-itr reproduce`: see docs/experiments.md. Its detector "
        f"comes from the bundle {data.detector.fingerprint[:12]}.\n",
    )


def _measure(folder: Path, data: DataSet) -> Row:
    bundle = folder / BUNDLE
    with load(bundle) as model:
        recalls = evaluate(model, data.val_captions)
    weights = read_bundle(bundle).weights
    lines = (folder / METRICS).read_text("utf-8").splitlines()
    return {
        "recalls": recalls.to_json(),
        "parameters": sum(w.size for name, w in weights.items() if ".running_" not in name),
        "weights_mib": round((bundle / "weights.safetensors").stat().st_size / _MIB, 2),
        "training_minutes": round(sum(json.loads(line)["seconds"] for line in lines) / 60, 1),
        "losses": [json.loads(line)["loss"] for line in lines],
    }


def _write_row(folder: Path, row: Row) -> None:
    part = folder / f"{ROW}.part"
    part.write_text(json.dumps(row, indent=2) + "\n", "utf-8")
    put_in_place(part, folder / ROW)
    for checkpoint in (LAST, BEST):  # gigabytes at D = 2048, and of no more use
        (folder / checkpoint).unlink(missing_ok=True)


def _read_row(path: Path, made_from: Mapping[str, Any]) -> Row:
    try:
        row: Row = json.loads(path.read_text("utf-8"))
        found = row["made_from"]["recipe"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise InvalidInputError(f"{path}: expected the row of a finished run; {exc!r}") from exc
    if row["made_from"] == made_from:
        return row
    wanted = made_from["recipe"]
    names = sorted(name for name in wanted if found.get(name) != wanted[name])
    asked = (
        ", ".join(f"{name} = {wanted[name]!r}" for name in names)
        or "these captions and this detector"
    )
    got = ", ".join(f"{name} = {found.get(name)!r}" for name in names) or "others"
    raise InvalidInputError(f"{path}: expected a run with {asked}; got {got}; take another --out")
