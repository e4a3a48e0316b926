"""The text encoder's work: words in, unit vectors out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refine_itr.bench.paper_model import paper_config, random_weights
from refine_itr.encoding.folding import Weights

_LENGTHS = range(6, 17)
# Captions of Flickr8k with so many words (87 % of 35,000).
_COUNTS = (2242, 2942, 3337, 3804, 3858, 3545, 3226, 2706, 2154, 1609, 1169)


@dataclass(frozen=True)
class TextWork:
    """A text encoder and a batch for it.

    Attributes:
        weights: As trained, by name.
        tokens: int32 (total,), the sentences one after the other.
        offsets: int64 (n + 1,): sentence i is tokens[offsets[i] : offsets[i + 1]].
    """

    weights: Weights
    tokens: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @property
    def dim(self) -> int:
        """D."""
        return int(self.weights["text.gru.weight_hh"].shape[1])

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Words of each sentence, int64 (n,)."""
        return np.diff(self.offsets)

    @property
    def padded(self) -> npt.NDArray[np.int64]:
        """The tokens as int64 (n, longest), zeros behind a sentence's last word."""
        inside = np.arange(self.lengths.max()) < self.lengths[:, None]
        rows = np.zeros(inside.shape, np.int64)
        rows[inside] = self.tokens
        return rows


@dataclass(frozen=True)
class Steps:
    """The tokens of a batch in the order in which a GRU takes them, longest sentence first.

    Attributes:
        tokens: int64 (total,): all first words, all second words, ...
        sizes: Sentences that have a word at each step.
        order: Sentence of each row.
    """

    tokens: npt.NDArray[np.int64]
    sizes: list[int]
    order: npt.NDArray[np.int64]

    @classmethod
    def of(cls, work: TextWork) -> Steps:
        """Sorts a batch."""
        order = np.argsort(-work.lengths, kind="stable")
        sizes = [int((work.lengths > step).sum()) for step in range(int(work.lengths.max()))]
        rows = work.padded[order]
        tokens = np.concatenate([rows[:size, step] for step, size in enumerate(sizes)])
        return cls(tokens, sizes, order)


def text_work(dim: int, batch: int, vocabulary: int, seed: int = 0) -> TextWork:
    """Returns sentences as long as Flickr8k's captions of 6 to 16 words.

    Args:
        dim: D.
        batch: Number of sentences.
        vocabulary: Number of words.
        seed: Of the weights, lengths and words.
    """
    rng = np.random.default_rng(seed)
    shares = np.array(_COUNTS) / sum(_COUNTS)
    offsets = np.zeros(batch + 1, np.int64)
    offsets[1:] = np.cumsum(rng.choice(_LENGTHS, batch, p=shares))
    tokens = rng.integers(0, vocabulary, int(offsets[-1])).astype(np.int32)
    weights = random_weights(paper_config(dim, vocabulary=vocabulary), "text", seed)
    return TextWork(weights, tokens, offsets)
