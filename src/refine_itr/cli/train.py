"""``refine-itr train``: a model from captioned photographs, or from features made elsewhere."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from refine_itr.cli.options import JsonOption, ThreadsOption
from refine_itr.cli.output import INTERRUPTED, print_json, print_line, print_note
from refine_itr.cli.training_display import require_training, training_display


def train(
    data: Annotated[
        Path, typer.Option("--data", help="Training captions.jsonl, or X_ims.npy (X_caps.txt).")
    ],
    val: Annotated[Path, typer.Option("--val", help="The same for validation.")],
    out: Annotated[Path, typer.Option("--out", help="The run's folder; ends with a bundle in it.")],
    images: Annotated[
        Path | None, typer.Option("--images", help="The folder of the images of captions.jsonl.")
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            "--detector",
            help="The ONNX detector that made X_ims.npy; detector.json beside it is read.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Recipe: JSON, only what differs.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1)] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
    teacher: Annotated[
        bool | None,
        typer.Option("--teacher/--no-teacher", help="Learn from the sentence model too."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder of cached features [default: OUT/cache].")
    ] = None,
    data_note: Annotated[
        str, typer.Option("--data-note", help="The data's name and terms, for the model card.")
    ] = "Not stated.",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT, exactly.")
    ] = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Train a model and export its best epoch as a bundle (needs the extra 'train')."""
    require_training()
    import torch

    from refine_itr.training.card import Provenance
    from refine_itr.training.prepare import Sources
    from refine_itr.training.recipe import read_recipe
    from refine_itr.training.run import BUNDLE, RECIPE, run_training

    if threads:
        torch.set_num_threads(threads)
    if resume and config is None:
        config = out / RECIPE
    wanted = {"epochs": epochs, "seed": seed, "teacher": teacher}
    changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if teacher is False:
        changes["extra_words"] = 0
    recipe = read_recipe(config, changes)
    sources = Sources(train=data, val=val, images=images, cache=cache or out / "cache")
    # A resumed run gives what one without a stop would have given.
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    provenance = Provenance(data_note, shlex.join(["refine-itr", *arguments]))
    with training_display() as hooks:
        measured = run_training(
            recipe, sources, out, provenance, hooks, resume=resume, detector=detector
        )
    if measured is None:
        print_note(f"stopped; go on with --resume --out {out}")
        raise typer.Exit(INTERRUPTED)
    if json:
        print_json({"bundle": str(out / BUNDLE), **measured.to_json()})
    else:
        print_line(f"{out / BUNDLE}: rsum {measured.rsum:.1f}")
