"""A whole training run, from files to a bundle. The one entry point of this folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_itr.bundle import DETECTOR_CONFIG, read_detector
from refine_itr.detection import open_detectors
from refine_itr.errors import InvalidInputError
from refine_itr.evaluation import Recalls
from refine_itr.training.card import Provenance
from refine_itr.training.export import export_best
from refine_itr.training.features import Progress
from refine_itr.training.loop import BEST, LAST, METRICS, Trainer
from refine_itr.training.memory import keep_large_blocks
from refine_itr.training.prepare import DetectorChoice, Prepared, Sources, prepare
from refine_itr.training.recipe import Recipe

BUNDLE = "bundle"
RECIPE = "recipe.json"


@dataclass(frozen=True)
class Hooks:
    """How a run tells of itself.

    Attributes:
        progress: What is being done, how much is done, how much there is.
        on_epoch: A line of the metrics.
        should_stop: Asked after each step.
    """

    progress: Progress
    on_epoch: Callable[[dict[str, Any]], None]
    should_stop: Callable[[], bool]


def run_training(
    recipe: Recipe,
    sources: Sources,
    out: Path,
    provenance: Provenance,
    hooks: Hooks,
    *,
    resume: bool = False,
    detector: Path | None = None,
) -> Recalls | None:
    """Trains in the folder ``out`` and writes the best epoch's bundle to ``out/bundle``.

    Returns:
        The bundle's recall on the validation split, or None if ``should_stop`` ended the run;
        ``resume`` goes on then.

    Raises:
        RefineItrError: The recipe, the data or the checkpoint are not as expected.
    """
    if not resume and (out / LAST).exists():
        raise InvalidInputError(f"{out}: expected a new folder, or --resume to go on with this run")
    keep_large_blocks()
    out.mkdir(parents=True, exist_ok=True)
    prepared = prepare(recipe, sources, hooks.progress, _detector_config(detector))
    _check_detector(prepared, detector)
    trainer = Trainer(
        prepared,
        out,
        on_step=lambda epoch, done, steps: hooks.progress(f"epoch {epoch + 1}", done, steps),
        on_epoch=hooks.on_epoch,
        should_stop=hooks.should_stop,
    )
    if resume:
        trainer.resume()
    else:
        (out / METRICS).unlink(missing_ok=True)
        (out / RECIPE).write_text(json.dumps(dataclasses.asdict(recipe), indent=2) + "\n", "utf-8")
    if not trainer.run():
        return None
    return export_best(out / BEST, prepared, out / BUNDLE, provenance, detector)


def _detector_config(detector: Path | None) -> DetectorChoice:
    """What lies beside the detector's graph; a grid's has nothing there."""
    if detector is None:
        return None
    if not (detector.parent / DETECTOR_CONFIG).is_file():
        return "grid"
    return read_detector(detector.parent)


def _check_detector(prepared: Prepared, detector: Path | None) -> None:
    """Before hours of training, not after: whether a bundle's detector makes its features."""
    config = prepared.learner.config
    if prepared.learner.backbone is not None:
        if detector is not None:
            raise InvalidInputError("--detector: expected none with photographs; the model has one")
        return
    if detector is None:
        return
    assert config.detector is not None  # a grid's or its own
    for opened in open_detectors(detector, config.detector, features=config.image.features):
        opened.close()
