"""Makes a bank of queries, and fits relevance to captioned photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.evaluation.captions import CaptionSet
from refine_itr.evaluation.recall import measure_recalls
from refine_itr.evaluation.reliability import Reliability
from refine_itr.index import Scorer, gallery_rows
from refine_itr.model import Model
from refine_itr.scoring import Calibration, QueryBank, Relevance
from refine_itr.types import FloatArray, Kind

TEMPERATURES = (5.0, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0, 25.0, 30.0, 40.0)

_HITS = 10  # of each query
_ROUNDS = 10
_SEED = 0


@dataclass(frozen=True)
class EmbeddedPairs:
    """Captioned photographs as embeddings.

    Attributes:
        images: float32 (n, D).
        texts: float32 (m, D).
        owner: int64 (m,): the photograph that each sentence describes.
    """

    images: FloatArray
    texts: FloatArray
    owner: npt.NDArray[np.int64]

    @classmethod
    def of(cls, model: Model, data: CaptionSet) -> EmbeddedPairs:
        """Embeds captioned photographs.

        Raises:
            PictureError: One of them cannot be read.
        """
        images, texts = model.embed_images(data.images), model.embed_texts(data.sentences)
        return cls(images, texts, data.owner)

    def part(self, keep: npt.NDArray[np.bool_]) -> EmbeddedPairs:
        """Returns the photographs that are kept, (n,), with their sentences."""
        kept = keep[self.owner]
        renumbered = np.cumsum(keep) - 1
        return EmbeddedPairs(self.images[keep], self.texts[kept], renumbered[self.owner[kept]])


def centres(rows: FloatArray, count: int) -> FloatArray:
    """Returns centres of ``count`` groups of embeddings (Lloyd's k-means), float32 (count, D).

    Few rows stay as they are. The centres are no unit vectors: the wider a group, the shorter.
    """
    if len(rows) <= count:
        return rows
    rng = np.random.default_rng(_SEED)
    found = rows[rng.choice(len(rows), count, replace=False)]
    for _ in range(_ROUNDS):
        nearest = np.argmax(rows @ found.T - 0.5 * (found * found).sum(axis=1), axis=1)
        sums = np.zeros_like(found)
        np.add.at(sums, nearest, rows)
        sizes = np.bincount(nearest, minlength=count)[:, None]
        found = np.where(sizes > 0, sums / np.maximum(sizes, 1), found).astype(np.float32)
    return found


def make_bank(
    queries: EmbeddedPairs,
    size: int,
    tried_on: EmbeddedPairs,
    temperatures: Sequence[float] = TEMPERATURES,
    threads: int = 0,
) -> QueryBank:
    """Returns a bank with the temperature of the highest rsum.

    Args:
        queries: Typical queries of both kinds; must not be what is searched later.
        size: Rows of each kind.
        tried_on: Captioned photographs that choose the temperature.
        temperatures: What to choose from.
        threads: 0 means all cores.

    Raises:
        InvalidInputError: The size is below 1.
    """
    if size < 1:
        raise InvalidInputError(f"bank size: expected at least 1, got {size}")
    texts, images = centres(queries.texts, size), centres(queries.images, size)
    banks = [QueryBank(texts, images, temperature=t) for t in temperatures]
    data = (tried_on.images, tried_on.texts, tried_on.owner)
    return max(banks, key=lambda bank: measure_recalls(*data, threads, bank=bank).rsum)


def calibrate(
    pairs: EmbeddedPairs, bank: QueryBank, threads: int = 0
) -> tuple[Calibration, dict[Kind, Reliability]]:
    """Fits relevance to the ten best hits of every query; those fit that are known pairs.

    The reliability is that of other weights: the photographs are split in halves at random, and
    each half, with its sentences, is judged by what was fitted to the other one.

    Args:
        pairs: Captioned photographs that are not in the bank.
        bank: Corrects hubs.
        threads: 0 means all cores.

    Returns:
        The calibration, and its reliability by what is found.

    Raises:
        DatasetError: There are too few photographs to tell.
    """
    if len(pairs.images) < 4:
        raise DatasetError(f"expected at least 4 photographs; got {len(pairs.images)}")
    first = np.random.default_rng(_SEED).permutation(len(pairs.images)) % 2 == 0
    halves = (pairs.part(first), pairs.part(~first))
    kinds: tuple[Kind, ...] = ("images", "texts")
    try:
        relevance = {kind: _judge(pairs, bank, kind, threads).fit() for kind in kinds}
        reliability = {kind: _reliability(halves, bank, kind, threads) for kind in kinds}
    except InvalidInputError as exc:
        raise DatasetError(f"too few photographs to tell what fits; {exc}") from exc
    return Calibration(bank, relevance), reliability


@dataclass(frozen=True)
class _Judged:
    """The best hits of every query: what relevance is made of, and whether they fit."""

    scores: FloatArray  # (q, k)
    expected: FloatArray  # (q, 1)
    fits: npt.NDArray[np.bool_]  # (q, k)

    def fit(self) -> Relevance:
        expected = np.broadcast_to(self.expected, self.scores.shape)
        return Relevance.fit(self.scores.ravel(), expected.ravel(), self.fits.ravel())


def _judge(pairs: EmbeddedPairs, bank: QueryBank, found: Kind, threads: int) -> _Judged:
    asked: Kind = "texts" if found == "images" else "images"
    by_text = asked == "texts"
    queries, items = (pairs.texts, pairs.images) if by_text else (pairs.images, pairs.texts)
    rows = gallery_rows(bank, items, found, threads)
    scores, ids = Scorer(asked, found, bank, None, threads).top_k(queries, rows, _HITS, threads)
    if by_text:
        fits = ids == pairs.owner[:, None]
    else:
        fits = pairs.owner[ids] == np.arange(len(queries))[:, None]
    return _Judged(scores, -bank.offsets(queries, asked, threads)[:, None], fits)


def _reliability(
    halves: tuple[EmbeddedPairs, EmbeddedPairs], bank: QueryBank, found: Kind, threads: int
) -> Reliability:
    one, other = (_judge(half, bank, found, threads) for half in halves)
    judged = ((one, other.fit()), (other, one.fit()))
    relevances = [relevance(half.scores, half.expected) for half, relevance in judged]
    return Reliability.of(np.concatenate(relevances), np.concatenate([one.fits, other.fits]))
