"""What is trained and measured on: captioned photographs, or features made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DatasetError
from refine_itr.evaluation import read_captions
from refine_itr.features import SUFFIX, read_precomputed


@dataclass(frozen=True)
class Split:
    """Images with their sentences; either photographs or features, never both.

    Attributes:
        sentences: m sentences.
        owner: int64 (m,): the image that each sentence describes.
        photographs: n files, or None.
        features: float16 or float32 (n, K, C), memory-mapped, or None.
    """

    sentences: list[str]
    owner: npt.NDArray[np.int64]
    photographs: list[Path] | None = None
    features: npt.NDArray[np.floating] | None = None

    @property
    def images(self) -> int:
        """n, the number of images."""
        source = self.features if self.photographs is None else self.photographs
        assert source is not None
        return len(source)

    def members(self) -> list[npt.NDArray[np.int64]]:
        """For each image the numbers of its sentences."""
        order = np.argsort(self.owner, kind="stable")
        counts = np.bincount(self.owner, minlength=self.images)
        return np.split(order, np.cumsum(counts)[:-1])


def read_split(data: Path, images: Path | None) -> Split:
    """Reads ``captions.jsonl`` with its photographs, or ``X_ims.npy`` with ``X_caps.txt``.

    Args:
        data: The captions of photographs, or an array of features.
        images: The photographs' folder; needed for captions, not for features.

    Raises:
        DatasetError: Something is missing or does not fit together.
    """
    if data.name.endswith(SUFFIX):
        ready = read_precomputed(data)
        return Split(ready.sentences, ready.owner, features=ready.regions)
    if images is None:
        raise DatasetError(
            f"{data}: expected the folder of the images too (--images), or an array of features "
            f"named *{SUFFIX}"
        )
    captions = read_captions(data, images)
    return Split(captions.sentences, captions.owner, photographs=captions.images)
