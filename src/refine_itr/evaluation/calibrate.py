"""Makes a bank of queries, and fits relevance to captioned photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.evaluation.captions import CaptionSet
from refine_itr.evaluation.recall import measure_recalls
from refine_itr.evaluation.reliability import Judged, Reliability
from refine_itr.index import Scorer, gallery_rows
from refine_itr.model import Model
from refine_itr.scoring import Calibration, QueryBank, Relevance
from refine_itr.types import FloatArray, Kind

TEMPERATURES = (5.0, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0, 25.0, 30.0, 40.0)

_HITS = 10  # of each query
_SHARES = (1, 3, 10, 30)  # galleries are all photographs, a third of them, and so on
_DRAWS = 5  # at most, of galleries of one size
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
    """Fits relevance to the ten best hits of queries; those fit that are known pairs.

    Galleries are all photographs and random parts of them. Every query is asked twice: of the
    gallery, and of the gallery without what is known to fit it.

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
        relevance = {kind: _fit(_ask_all(pairs, bank, kind, threads)) for kind in kinds}
        reliability = {kind: _reliability(halves, bank, kind, threads) for kind in kinds}
    except InvalidInputError as exc:
        raise DatasetError(f"too few photographs to tell what fits; {exc}") from exc
    return Calibration(bank, relevance), reliability


@dataclass(frozen=True)
class _Asked:
    """The best hits of queries in one gallery: what relevance is made of, and whether they fit."""

    scores: FloatArray  # (q, k)
    expected: FloatArray  # (q, 1)
    count: int  # items searched
    fits: npt.NDArray[np.bool_]  # (q, k)
    present: bool

    def judged(self, relevance: Relevance) -> Judged:
        relevances = relevance(self.scores, self.expected, self.count)
        return Judged(relevances, self.fits, self.present)


def _ask_all(pairs: EmbeddedPairs, bank: QueryBank, found: Kind, threads: int) -> list[_Asked]:
    """Asks everything of galleries of several sizes."""
    rng, n = np.random.default_rng(_SEED), len(pairs.images)
    asked = []
    for share in _SHARES:
        for _ in range(min(share, _DRAWS)):
            keep = rng.permutation(n) < max(n // share, 2)
            asked += _ask(pairs.part(keep), bank, found, threads)
    return asked


def _ask(pairs: EmbeddedPairs, bank: QueryBank, found: Kind, threads: int) -> list[_Asked]:
    """Asks everything of one gallery, as it is and without what fits."""
    by: Kind = "texts" if found == "images" else "images"
    queries, items = (pairs.texts, pairs.images) if by == "texts" else (pairs.images, pairs.texts)
    # So many fit one query at most.
    own = 1 if by == "texts" else int(np.bincount(pairs.owner, minlength=1).max())
    rows = gallery_rows(bank, items, found, threads)
    scorer = Scorer(by, found, bank, None, threads)
    scores, ids = scorer.top_k(queries, rows, _HITS + own, threads)
    fits = (
        ids == pairs.owner[:, None]
        if by == "texts"
        else pairs.owner[ids] == np.arange(len(queries))[:, None]
    )
    others = np.argsort(fits, axis=1, kind="stable")[:, : max(0, min(_HITS, ids.shape[1] - own))]
    expected, n = -bank.offsets(queries, by, threads)[:, None], len(items)
    without = np.take_along_axis(scores, others, axis=1)
    return [
        _Asked(scores[:, :_HITS], expected, n, fits[:, :_HITS], present=True),
        _Asked(without, expected, n, np.zeros(without.shape, bool), present=False),
    ]


def _fit(asked: Sequence[_Asked]) -> Relevance:
    def joined(values: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        each = (np.broadcast_to(v, a.fits.shape) for v, a in zip(values, asked, strict=True))
        return np.concatenate([v.ravel() for v in each])

    return Relevance.fit(
        joined([a.scores for a in asked]),
        joined([a.expected for a in asked]),
        joined([np.array(a.count) for a in asked]),
        joined([a.fits for a in asked]),
    )


def _reliability(
    halves: tuple[EmbeddedPairs, EmbeddedPairs], bank: QueryBank, found: Kind, threads: int
) -> Reliability:
    one, other = (_ask_all(half, bank, found, threads) for half in halves)
    by_other, by_one = _fit(other), _fit(one)
    judged = [a.judged(by_other) for a in one] + [a.judged(by_one) for a in other]
    return Reliability.of(judged)
