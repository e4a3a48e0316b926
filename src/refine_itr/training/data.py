"""What is trained and measured on: captioned photographs, or features made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DatasetError
from refine_itr.evaluation import read_captions

_FEATURES_SUFFIX = "_ims.npy"
_CAPTIONS_SUFFIX = "_caps.txt"
# VSRN's arrays hold a row for each caption, five alike in a row.
_REPEATS = 5


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
    if data.name.endswith(_FEATURES_SUFFIX):
        return _read_features(data)
    if images is None:
        raise DatasetError(
            f"{data}: expected the folder of the images too (--images), or an array of features "
            f"named *{_FEATURES_SUFFIX}"
        )
    captions = read_captions(data, images)
    return Split(captions.sentences, captions.owner, photographs=captions.images)


def _read_features(path: Path) -> Split:
    captions = path.with_name(path.name.removesuffix(_FEATURES_SUFFIX) + _CAPTIONS_SUFFIX)
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
        sentences = [line for line in captions.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError, EOFError) as exc:
        raise DatasetError(f"{path}: expected features and {captions.name}; {exc}") from exc
    if features.ndim != 3 or features.dtype != np.float32 or 0 in features.shape:
        raise DatasetError(
            f"{path}: expected float32 (n, K, C), not empty; got {features.dtype} {features.shape}"
        )
    if len(features) == len(sentences) and _is_repeated(features):
        features = features[::_REPEATS]
    if not sentences or len(sentences) % len(features):
        raise DatasetError(
            f"{captions}: expected the same number of lines for each of {len(features)} images; "
            f"got {len(sentences)} lines"
        )
    owner = np.repeat(np.arange(len(features)), len(sentences) // len(features))
    return Split(sentences, owner, features=features)


def _is_repeated(features: npt.NDArray[np.float32]) -> bool:
    rows = len(features)
    return rows % _REPEATS == 0 and all(
        np.array_equal(features[0], features[i]) for i in range(_REPEATS)
    )
