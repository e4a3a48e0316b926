"""From files to all that a run needs: data, tokenizer, model, caches, the teacher's knowledge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from tokenizers import Tokenizer

from refine_itr.bundle import AnyDetectorConfig
from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.training.backbone import BLOCKS, EfficientNetLite0, load_pretrained
from refine_itr.training.batches import TokenTable, ViewSource
from refine_itr.training.data import Split, read_split
from refine_itr.training.features import (
    FeatureTable,
    FrozenTrunk,
    Progress,
    ViewCache,
    ViewSettings,
)
from refine_itr.training.knowledge import CachedTeacher, Knowledge
from refine_itr.training.learner import Learner
from refine_itr.training.recipe import Recipe
from refine_itr.training.teacher import EMBEDDING_DIM, SentenceModel, teacher_folder
from refine_itr.training.vocabulary import SPECIAL_TOKENS, choose_words, make_tokenizer

DetectorChoice: TypeAlias = AnyDetectorConfig | Literal["grid"] | None


@dataclass(frozen=True)
class Sources:
    """Where the data lie.

    Attributes:
        train: captions.jsonl, or X_ims.npy with X_caps.txt beside it.
        val: The same for validation.
        images: Folder of the photographs that captions name.
        cache: Folder for what is computed once.
    """

    train: Path
    val: Path
    images: Path | None
    cache: Path


@dataclass(frozen=True)
class Prepared:
    """All that the loop needs."""

    recipe: Recipe
    tokenizer: Tokenizer
    learner: Learner
    train: Split
    train_views: ViewSource
    train_tokens: TokenTable
    val: Split
    val_views: ViewSource
    val_tokens: TokenTable
    knowledge: Knowledge | None


def prepare(
    recipe: Recipe,
    sources: Sources,
    progress: Progress,
    detector: DetectorChoice = "grid",
) -> Prepared:
    """Reads the data and builds the model, as ``prepare_splits`` does.

    Args:
        recipe: How to train.
        sources: The data.
        progress: Told of what is done.
        detector: What made ready-made features; None if it is not known.

    Raises:
        DatasetError: The data do not fit together.
        InvalidInputError: The recipe does not fit the data.
    """
    train = read_split(sources.train, sources.images)
    val = read_split(sources.val, sources.images)
    return prepare_splits(recipe, train, val, sources.cache, progress, detector)


def prepare_splits(
    recipe: Recipe,
    train: Split,
    val: Split,
    cache: Path,
    progress: Progress,
    detector: DetectorChoice = "grid",
) -> Prepared:
    """Builds the model; seeds PyTorch, so that weights depend on the seed.

    Args:
        recipe: The choices.
        train: What is trained on.
        val: What is measured on.
        cache: Folder for what is computed once.
        progress: Told of what is being done.
        detector: What made ready-made features; None if it is not known.

    Raises:
        DatasetError: The data do not fit together.
        InvalidInputError: The recipe does not fit the data.
    """
    if (train.features is None) != (val.features is None):
        raise DatasetError("expected photographs for training and validation, or features for both")
    teacher = None
    if recipe.teacher:
        teacher = CachedTeacher(SentenceModel(teacher_folder()), cache, progress)
    more = teacher.frequent_words() if teacher else []
    words = choose_words(train.sentences, recipe.min_word_count, more, recipe.extra_words)
    tokenizer = make_tokenizer(words)

    torch.manual_seed(recipe.seed)
    learner = _make_learner(recipe, train, len(words) + len(SPECIAL_TOKENS), detector)
    if teacher:
        _set_word_vectors(learner, teacher, words)
    train_views, val_views = _view_sources(recipe, train, val, learner, cache, progress)
    return Prepared(
        recipe=recipe,
        tokenizer=tokenizer,
        learner=learner,
        train=train,
        train_views=train_views,
        train_tokens=TokenTable(tokenizer, train),
        val=val,
        val_views=val_views,
        val_tokens=TokenTable(tokenizer, val),
        knowledge=teacher.knowledge(train) if teacher else None,
    )


def _make_learner(
    recipe: Recipe, train: Split, vocabulary: int, detector: DetectorChoice
) -> Learner:
    if train.features is not None:
        _, regions, features = train.features.shape
        config = recipe.bundle_config(vocabulary, regions, features, detector)
        return Learner(recipe, config, None)
    return Learner(recipe, recipe.bundle_config(vocabulary), load_pretrained())


def _set_word_vectors(learner: Learner, teacher: CachedTeacher, words: list[str]) -> None:
    if learner.recipe.word_dim != EMBEDDING_DIM:
        raise InvalidInputError(
            f"recipe: word_dim: expected {EMBEDDING_DIM}, the sentence model's (or no teacher); "
            f"got {learner.recipe.word_dim}"
        )
    with torch.no_grad():
        vectors = teacher.word_vectors(words)
        learner.encoders.text.embedding.weight[len(SPECIAL_TOKENS) :] = vectors


def _view_sources(
    recipe: Recipe, train: Split, val: Split, learner: Learner, cache: Path, progress: Progress
) -> tuple[ViewSource, ViewSource]:
    if train.features is not None and val.features is not None:
        if train.features.shape[1:] != val.features.shape[1:]:
            raise DatasetError(
                f"features: expected one shape for training and validation; got "
                f"{train.features.shape[1:]} and {val.features.shape[1:]}"
            )
        return FeatureTable(train.features), FeatureTable(val.features)
    assert train.photographs is not None
    assert val.photographs is not None
    assert isinstance(learner.backbone, EfficientNetLite0)
    settings = ViewSettings(
        recipe.input_size, recipe.view_min_area, recipe.view_jitter, recipe.seed
    )
    blocks = recipe.frozen_blocks if recipe.fine_tune else BLOCKS
    trunk = FrozenTrunk(
        learner.backbone, blocks, not recipe.fine_tune, recipe.precision == "bfloat16"
    )
    # What is measured is what the exported detector computes: in full precision.
    exact = FrozenTrunk(learner.backbone, blocks, not recipe.fine_tune, False)
    return (
        ViewCache(cache, train.photographs, trunk, settings, recipe.views, progress),
        ViewCache(cache, val.photographs, exact, settings, 1, progress),
    )
