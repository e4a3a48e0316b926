"""Recall at 1, 5 and 10, as the image-text retrieval papers count it (VSRN, SCAN, VSE++)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refine_itr.errors import InvalidInputError
from refine_itr.index import Scorer, gallery_rows
from refine_itr.index.matching import IdArray
from refine_itr.scoring import QueryBank
from refine_itr.types import FloatArray, Kind

_DEPTHS = (1, 5, 10)


@dataclass(frozen=True)
class Recalls:
    """Percent of queries with a right answer among the first 1, 5 and 10.

    Attributes:
        i2t: Image to text: right if any of the image's sentences is among the first K.
        t2i: Text to image: every sentence is a query.
        images: Number of images.
        sentences: Number of sentences.
    """

    i2t: tuple[float, float, float]
    t2i: tuple[float, float, float]
    images: int
    sentences: int

    @property
    def rsum(self) -> float:
        """The six recalls added up."""
        return sum(self.i2t) + sum(self.t2i)

    def to_json(self) -> dict[str, object]:
        """Returns the recalls in percent, rounded to two digits, for ``--json``."""

        def direction(recalls: tuple[float, float, float]) -> dict[str, float]:
            named = {f"r{k}": r for k, r in zip(_DEPTHS, recalls, strict=True)}
            named["mean"] = sum(recalls) / len(recalls)
            return {name: round(value, 2) for name, value in named.items()}

        return {
            "i2t": direction(self.i2t),
            "t2i": direction(self.t2i),
            "rsum": round(self.rsum, 2),
            "images": self.images,
            "sentences": self.sentences,
        }


def measure_recalls(
    images: FloatArray,
    texts: FloatArray,
    owner: npt.NDArray[np.int64],
    threads: int = 0,
    *,
    bank: QueryBank | None = None,
) -> Recalls:
    """Ranks all sentences for each image and all images for each sentence.

    Args:
        images: float32 (n, D), unit norm.
        texts: float32 (m, D), unit norm.
        owner: int64 (m,): the image (0 to n - 1) that each sentence describes.
        threads: Threads of the search; 0 means all cores.
        bank: Corrects hubs; None: nothing does.

    Raises:
        InvalidInputError: There is no image or sentence, or ``owner`` does not fit them.
    """
    n, m = len(images), len(texts)
    if n == 0 or m == 0:
        raise InvalidInputError(f"recall: expected images and sentences; got {n} and {m}")
    if owner.shape != (m,) or owner.min() < 0 or owner.max() >= n:
        raise InvalidInputError(
            f"owner: expected ({m},) numbers of images from 0 to {n - 1}; got {owner.shape} "
            f"from {owner.min() if owner.size else None} to {owner.max() if owner.size else None}"
        )
    text_ids = _best(images, texts, "texts", bank, threads)
    image_ids = _best(texts, images, "images", bank, threads)
    return Recalls(
        i2t=_recalls(owner[text_ids] == np.arange(n)[:, None]),
        t2i=_recalls(image_ids == owner[:, None]),
        images=n,
        sentences=m,
    )


def _best(
    queries: FloatArray, items: FloatArray, found: Kind, bank: QueryBank | None, threads: int
) -> IdArray:
    """Returns int64 (queries, 10): the best items for each query of the other kind."""
    scorer = Scorer("texts" if found == "images" else "images", found, bank, None, threads)
    rows = gallery_rows(bank, items, found, threads)
    return scorer.top_k(queries, rows, max(_DEPTHS), threads)[1]


def _recalls(right: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Percent of rows with a true value among the first 1, 5 and 10; right is (queries, k)."""
    r1, r5, r10 = (100.0 * float(right[:, :depth].any(axis=1).mean()) for depth in _DEPTHS)
    return r1, r5, r10
