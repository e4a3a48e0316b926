"""What the sentence model says of a data set, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from refine_itr.training.batches import Batch
from refine_itr.training.data import Split
from refine_itr.training.features import Progress
from refine_itr.training.teacher import EMBEDDING_DIM, SentenceModel

_CHUNK = 1024
_WORD_SPREAD = 0.4  # standard deviation of a word vector's entries


@dataclass(frozen=True)
class Knowledge:
    """Unit embeddings of a training split under the sentence model.

    Attributes:
        sentences: (m, 384).
        images: (n, 384): of the mean of each image's sentences.
    """

    sentences: Tensor
    images: Tensor

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings of a batch's images and sentences."""
        return (
            self.images[torch.from_numpy(batch.images)],
            self.sentences[torch.from_numpy(batch.sentences)],
        )


class CachedTeacher:
    """The sentence model with a memory on disk."""

    def __init__(self, model: SentenceModel, cache: Path, progress: Progress) -> None:
        self._model = model
        self._cache = cache
        self._progress = progress

    def knowledge(self, split: Split) -> Knowledge:
        """Embeds the sentences of a split."""
        sentences = self.encode(split.sentences, "sentences")
        images = torch.zeros(split.images, EMBEDDING_DIM)
        images.index_add_(0, torch.from_numpy(split.owner), sentences)
        return Knowledge(sentences, F.normalize(images, dim=1))

    def word_vectors(self, words: Sequence[str]) -> Tensor:
        """A vector (384) for each word: the model's embedding of the word alone, centred.

        What all words have in common says nothing and would drown the differences.
        """
        vectors = self.encode(words, "words")
        vectors = vectors - vectors.mean(0)
        return vectors * (_WORD_SPREAD / vectors.std())

    def frequent_words(self) -> list[str]:
        """Whole English words of the model's vocabulary, most frequent first."""
        vocabulary = self._model.tokenizer.get_vocab()
        whole = (word for word in vocabulary if re.fullmatch("[a-z]{2,}", word))
        return sorted(whole, key=vocabulary.__getitem__)

    def encode(self, texts: Sequence[str], what: str) -> Tensor:
        """Unit embeddings (n, 384)."""
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:20]
        path = self._cache / f"{what}-{digest}.npy"
        if not path.is_file():
            self._cache.mkdir(parents=True, exist_ok=True)
            parts = []
            for start in range(0, len(texts), _CHUNK):
                parts.append(self._model.encode(texts[start : start + _CHUNK]).numpy())
                self._progress(what, min(start + _CHUNK, len(texts)), len(texts))
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.save(file, np.concatenate(parts))
            part.replace(path)
        return torch.from_numpy(np.load(path, allow_pickle=False))
