"""Little drawn pictures with sentences, and a recipe that trains on them in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from refine_itr.training.batches import TokenTable
from refine_itr.training.data import Split
from refine_itr.training.features import FeatureTable
from refine_itr.training.learner import Learner
from refine_itr.training.prepare import Prepared, Sources
from refine_itr.training.recipe import Recipe
from refine_itr.training.vocabulary import SPECIAL_TOKENS, choose_words, make_tokenizer

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("circle", "square")


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(2)


def draw_pictures(folder: Path, n: int) -> Path:
    """Draws n pictures into ``folder``/images; returns the captions' file."""
    images = folder / "images"
    images.mkdir(parents=True)
    lines = []
    for number in range(n):
        colour = COLOURS[number % len(COLOURS)]
        shape = SHAPES[number // len(COLOURS) % len(SHAPES)]
        picture = Image.new("RGB", (80 + number, 64), "white")
        pen = ImageDraw.Draw(picture)
        box = (10 + number, 10, 50 + number, 50)
        (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=colour)
        picture.save(images / f"{number}.png")
        captions = [f"A {colour} {shape}.", f"one {shape}, it is {colour}"]
        lines.append(json.dumps({"image": f"{number}.png", "captions": captions}))
    path = folder / "captions.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Eight pictures for training and validation alike."""
    captions = draw_pictures(tmp_path / "data", 8)
    return Sources(captions, captions, captions.parent / "images", tmp_path / "cache")


@pytest.fixture
def tiny_recipe() -> Callable[..., Recipe]:
    """A recipe for pictures of 64 x 64 pixels, without the sentence model; changed by keywords."""

    def make(**changes: Any) -> Recipe:
        values: dict[str, Any] = {
            "dim": 8,
            "word_dim": 6,
            "layers": 1,
            "extra_words": 0,
            "input_size": 64,
            "frozen_blocks": 14,
            "views": 2,
            "batch_size": 4,
            "sentences": 2,
            "epochs": 2,
            "warmup_epochs": 0.5,
            "backbone_delay": 0.5,
            "teacher": False,
            "precision": "float32",
        }
        return Recipe(**(values | changes))

    return make


@pytest.fixture
def prepared_features(tiny_recipe: Callable[..., Recipe]) -> Callable[..., Prepared]:
    """A run on random features (no backbone): fast; changed by keywords of the recipe."""

    def make(**changes: Any) -> Prepared:
        recipe = tiny_recipe(**changes)
        rng = np.random.default_rng(3)
        features = rng.normal(size=(12, 4, 5)).astype(np.float32)
        sentences = [f"picture {COLOURS[i // 2 % 4]} {i}" for i in range(24)]
        split = Split(sentences, np.repeat(np.arange(12), 2), features=features)
        words = choose_words(sentences, 1)
        tokenizer = make_tokenizer(words)
        torch.manual_seed(recipe.seed)
        config = recipe.bundle_config(len(words) + len(SPECIAL_TOKENS), 4, 5)
        tokens, table = TokenTable(tokenizer, split), FeatureTable(features)
        learner = Learner(recipe, config, None)
        return Prepared(
            recipe, tokenizer, learner, split, table, tokens, split, table, tokens, None
        )

    return make
