"""How the papers measure: which images, how many sentences, how many folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DatasetError
from refine_itr.evaluation.recall import Recalls, measure_recalls
from refine_itr.scoring import QueryBank
from refine_itr.types import FloatArray

_SENTENCES = 5


@dataclass(frozen=True)
class Protocol:
    """A test set and its folds.

    Attributes:
        images: Number of images, with five sentences each, image by image.
        folds: Into how many equal parts it is cut; the recalls are the mean over them.
    """

    images: int
    folds: int


PROTOCOLS = {
    "f30k": Protocol(images=1000, folds=1),
    "coco-5k": Protocol(images=5000, folds=1),
    "coco-5fold": Protocol(images=5000, folds=5),
}


def measure_protocol(
    images: FloatArray,
    texts: FloatArray,
    owner: npt.NDArray[np.int64],
    protocol: Protocol,
    threads: int = 0,
    *,
    bank: QueryBank | None = None,
) -> Recalls:
    """Measures the recalls as a protocol says; arguments as of ``measure_recalls``.

    Raises:
        DatasetError: The images or sentences are not as many as the protocol's.
    """
    expected = np.repeat(np.arange(protocol.images), _SENTENCES)
    if len(images) != protocol.images or not np.array_equal(owner, expected):
        raise DatasetError(
            f"expected {protocol.images} images with {_SENTENCES} sentences each; "
            f"got {len(images)} images and {len(owner)} sentences"
        )
    size = protocol.images // protocol.folds
    parts = [
        measure_recalls(
            images[fold * size : (fold + 1) * size],
            texts[fold * size * _SENTENCES : (fold + 1) * size * _SENTENCES],
            owner[: size * _SENTENCES],
            threads,
            bank=bank,
        )
        for fold in range(protocol.folds)
    ]
    return Recalls(
        i2t=_mean([part.i2t for part in parts]),
        t2i=_mean([part.t2i for part in parts]),
        images=len(images),
        sentences=len(texts),
    )


def _mean(recalls: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    r1, r5, r10 = (sum(column) / len(recalls) for column in zip(*recalls, strict=True))
    return r1, r5, r10
