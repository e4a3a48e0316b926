"""Which images, views and sentences come when: one shuffled plan for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from refine_itr.training.data import Split
from refine_itr.training.recipe import Recipe
from refine_itr.training.vocabulary import PAD_ID

IntArray = npt.NDArray[np.int64]


class ViewSource(Protocol):
    """Where images come from: ``ViewCache`` or ``FeatureTable``."""

    @property
    def views(self) -> int:
        """How many views each image has; view 0 is the image itself."""

    @property
    def fingerprint(self) -> str:
        """Changes with the images and with what made the views of them."""

    def load(self, images: IntArray, views: IntArray) -> Tensor:
        """One view of each of some images."""


@dataclass(frozen=True)
class Batch:
    """A batch by number.

    Attributes:
        images: (n,) images of the split.
        views: (n,) the view of each.
        sentences: (m,) sentences of the split.
        owner: (m,) for each sentence its image, 0 to n - 1.
    """

    images: IntArray
    views: IntArray
    sentences: IntArray
    owner: IntArray


def plan_epoch(members: Sequence[IntArray], views: int, recipe: Recipe, epoch: int) -> list[Batch]:
    """All batches of an epoch, decided by ``recipe.seed`` and ``epoch`` alone.

    Args:
        members: For each image the numbers of its sentences.
        views: Views of each image.
        recipe: Batch size, sentences of each image, seed.
        epoch: Finished epochs.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation([i for i, sentences in enumerate(members) if len(sentences)])
    # Batches of one size, and what is left over waits for the next epoch's shuffling: contrastive
    # losses and BatchNorm make little sense of a batch of three.
    size = min(recipe.batch_size, len(order))
    batches = []
    for start in range(0, len(order) - size + 1, size):
        images = np.sort(order[start : start + size])
        chosen = [rng.permutation(members[image])[: recipe.sentences] for image in images]
        owner = np.repeat(np.arange(size), [len(sentences) for sentences in chosen])
        drawn = rng.integers(0, views, size)
        batches.append(Batch(images, drawn, np.concatenate(chosen), owner))
    return batches


class TokenTable:
    """All sentences of a split as token ids."""

    def __init__(self, tokenizer: Tokenizer, split: Split) -> None:
        self._rows = [encoding.ids for encoding in tokenizer.encode_batch(split.sentences)]

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, sentences: IntArray) -> tuple[Tensor, Tensor]:
        """Padded ids (m, T) and lengths (m,)."""
        rows = [self._rows[sentence] for sentence in sentences]
        lengths = torch.tensor([len(row) for row in rows])
        tokens = torch.full((len(rows), int(lengths.max())), PAD_ID)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = torch.tensor(row)
        return tokens, lengths
