"""What each step of a recipe brings: ``python benchmarks/ablation.py DATA --out runs/ablation``.

DATA is a folder with train.jsonl, val.jsonl and images/. Trains the recipe, then variations of it
with one step changed at a time: the same photographs, cached views, epochs and seed. Prints a
Markdown table of their recall on val.jsonl, which also chose each one's epoch. After Ctrl-C or a
kill the same command goes on; what is finished is not trained again, and each variation's folder in
``--out`` keeps its bundle. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_itr.cli.output import INTERRUPTED, stderr
from refine_itr.cli.training_display import require_training, training_display
from refine_itr.errors import InvalidInputError, RefineItrError
from refine_itr.training.card import Provenance
from refine_itr.training.loop import BEST, LAST, METRICS
from refine_itr.training.prepare import Sources
from refine_itr.training.recipe import Recipe, read_recipe
from refine_itr.training.run import Hooks, run_training

ROW = "row.json"
FULL = "full"


@dataclass(frozen=True)
class Variation:
    """One step changed; ``changes`` are fields of the recipe."""

    title: str
    changes: Mapping[str, Any]


VARIATIONS = {
    FULL: Variation("the whole recipe", {}),
    "graph": Variation("without graph layers", {"graph": "none", "layers": 0}),
    # Word vectors, extra words, soft targets, contrast and distillation go with it.
    "teacher": Variation("without the sentence model", {"teacher": False, "extra_words": 0}),
    "contrast": Variation(
        "without contrast with the sentence model's embeddings", {"teacher_contrast": 0.0}
    ),
    "distillation": Variation("without distillation", {"distill_text": 0.0, "distill_image": 0.0}),
    "soft-targets": Variation("without soft targets", {"soft_targets": 0.0}),
    "regions": Variation("without dropped regions", {"drop_regions": 0.0}),
    "words": Variation("without dropped words", {"drop_words": 0.0}),
    "views": Variation("without crops, flips and jitter: one view", {"views": 1}),
    "average": Variation("without the average of the weights", {"ema_decay": 0.0}),
    # Not fine_tune: that would be another cache, of whole feature maps, with the same regions.
    "frozen": Variation("detector as on ImageNet", {"backbone_rate": 0.0}),
    "gpo": Variation("pooling: GPO instead of the mean", {"pooling": "gpo"}),
    "gru": Variation("pooling: a GRU instead of the mean", {"pooling": "gru"}),
}

Row = dict[str, Any]


def train_variation(
    name: str, recipe: Recipe, sources: Sources, folder: Path, hooks: Hooks
) -> Row | None:
    """Trains in ``folder`` or reads what was trained there; None if it was asked to stop."""
    if (folder / ROW).is_file():
        return read_row(folder / ROW, made_from(recipe, sources))
    named = dataclasses.replace(
        hooks,
        progress=lambda what, done, total: hooks.progress(f"{name}: {what}", done, total),
        on_epoch=lambda line: hooks.on_epoch({"run": name, **line}),
    )
    provenance = Provenance("Not stated.", f"benchmarks/ablation.py, variation {name}")
    resume = (folder / LAST).is_file()
    measured = run_training(recipe, sources, folder, provenance, named, resume=resume)
    if measured is None:
        return None
    lines = (folder / METRICS).read_text("utf-8").splitlines()
    row = {
        **made_from(recipe, sources),
        "recalls": measured.to_json(),
        "minutes": sum(json.loads(line)["seconds"] for line in lines) / 60,
    }
    part = folder / f"{ROW}.part"
    part.write_text(json.dumps(row, indent=2) + "\n", "utf-8")
    part.replace(folder / ROW)
    for checkpoint in (LAST, BEST):  # hundreds of megabytes of no more use
        (folder / checkpoint).unlink(missing_ok=True)
    return row


def made_from(recipe: Recipe, sources: Sources) -> Row:
    captions = [hashlib.sha256(f.read_bytes()).hexdigest() for f in (sources.train, sources.val)]
    return {"recipe": dataclasses.asdict(recipe), "captions": captions}


def read_row(path: Path, wanted: Row) -> Row:
    row: Row = json.loads(path.read_text("utf-8"))
    if row.get("captions") != wanted["captions"]:
        raise InvalidInputError(f"{path}: expected a run on these captions; take another --out")
    asked, found = wanted["recipe"], row["recipe"]
    if differing := sorted(name for name in asked if found.get(name) != asked[name]):
        ask, got = (
            ", ".join(f"{name} = {values.get(name)!r}" for name in differing)
            for values in (asked, found)
        )
        raise InvalidInputError(f"{path}: expected a run with {ask}; got {got}; take another --out")
    return row


def print_table(rows: Mapping[str, Row]) -> None:
    print("| | i2t R@1 | R@5 | R@10 | t2i R@1 | R@5 | R@10 | rsum | against the whole | minutes |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        recalls = row["recalls"]
        gain = recalls["rsum"] - rows[FULL]["recalls"]["rsum"]
        columns = [
            *(f"{recalls[way][r]:.1f}" for way in ("i2t", "t2i") for r in ("r1", "r5", "r10")),
            f"{recalls['rsum']:.1f}",
            "" if name == FULL else f"{gain:+.1f}",
            f"{row['minutes']:.0f}",
        ]
        print(f"| {VARIATIONS[name].title} | {' | '.join(columns)} |")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of train.jsonl, val.jsonl and images/")
    parser.add_argument("--out", type=Path, required=True, help="a folder for all runs")
    parser.add_argument("--cache", type=Path, help="folder of cached features [OUT/cache]")
    parser.add_argument("--config", type=Path, help="recipe that is varied, as of train")
    parser.add_argument("--epochs", type=int, help="of every run [the recipe's]")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(VARIATIONS),
        metavar="NAME",
        help=f"of {', '.join(VARIATIONS)} [all]; {FULL} is always there",
    )
    return parser.parse_args(arguments)


def make_recipes(arguments: argparse.Namespace) -> dict[str, Recipe]:
    """All of them, checked before the first is trained."""
    changes = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    base = read_recipe(arguments.config, changes)
    names = arguments.only or VARIATIONS
    return {
        name: dataclasses.replace(base, **variation.changes)
        for name, variation in VARIATIONS.items()
        if name == FULL or name in names
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = parse_arguments(arguments)
    rows: dict[str, Row] = {}
    try:
        require_training()
        recipes = make_recipes(parsed)
        data, out = parsed.data, parsed.out
        cache = parsed.cache or out / "cache"
        sources = Sources(data / "train.jsonl", data / "val.jsonl", data / "images", cache)
        with training_display() as hooks:
            for name, recipe in recipes.items():
                row = train_variation(name, recipe, sources, out / name, hooks)
                if row is None:
                    break
                rows[name] = row
    except RefineItrError as error:
        stderr.print(str(error), highlight=False, soft_wrap=True, markup=False)
        return 2
    if rows:
        print_table(rows)
    if len(rows) == len(recipes):
        return 0
    stderr.print("stopped; the same command goes on")
    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
