"""``X_ims.npy`` with ``X_caps.txt``: the arrays of VSE++, SCAN, VSRN and what came after them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DatasetError
from refine_itr.types import FloatArray

SUFFIX = "_ims.npy"
_CAPTIONS_SUFFIX = "_caps.txt"
_MAX_CAPTIONS_BYTES = 1 << 30
# Some arrays hold a row for each sentence, five alike in a row.
_REPEATS = 5


@dataclass(frozen=True)
class Precomputed:
    """Images as features of their regions, with the sentences that describe them.

    Attributes:
        path: The array's file.
        regions: float32 (n, K, C), memory-mapped; K is 1 where an image has one vector.
        sentences: m sentences, image by image.
        owner: int64 (m,): the image that each sentence describes.
        rows_per_image: In the file: 1, or 5 alike.
    """

    path: Path
    regions: npt.NDArray[np.float32]
    sentences: list[str]
    owner: npt.NDArray[np.int64]
    rows_per_image: int

    def load(self, start: int, stop: int) -> FloatArray:
        """Returns the features of the images ``start`` to ``stop - 1``, read from the file.

        The file is mapped for this call alone: pages of a mapping that stays count as memory of
        the process, and a whole pass over ``regions`` would map all of it.
        """
        step = self.rows_per_image
        return np.array(_open_array(self.path)[start * step : stop * step : step])


def read_precomputed(path: Path) -> Precomputed:
    """Reads ``X_ims.npy``, a row an image or a row a sentence, and ``X_caps.txt`` beside it.

    Nothing but the array's header is read now: it may be larger than memory.

    Raises:
        DatasetError: A file is missing or damaged, or they do not fit together.
    """
    if not path.name.endswith(SUFFIX):
        raise DatasetError(f"{path}: expected an array of features named *{SUFFIX}")
    captions = path.with_name(path.name.removesuffix(SUFFIX) + _CAPTIONS_SUFFIX)
    sentences, regions = _read_captions(captions), _open_array(path)
    repeated = len(regions) == len(sentences) and _is_repeated(regions)
    rows_per_image = _REPEATS if repeated else 1
    regions = regions[::rows_per_image]
    if not sentences or len(sentences) % len(regions):
        raise DatasetError(
            f"{captions}: expected the same number of lines for each of {len(regions)} images; "
            f"got {len(sentences)} lines"
        )
    owner = np.repeat(np.arange(len(regions)), len(sentences) // len(regions))
    return Precomputed(path, regions, sentences, owner, rows_per_image)


def _open_array(path: Path) -> npt.NDArray[np.float32]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Python 2 wrote many of these arrays
            # A header that declares more than the file holds is refused here.
            array: npt.NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as exc:  # damaged headers raise almost anything
        raise DatasetError(f"{path}: expected an array of features; {exc}") from exc
    if not isinstance(array, np.ndarray):  # an .npz under this name
        raise DatasetError(f"{path}: expected an array of features; got several, zipped")
    if array.ndim not in (2, 3) or array.dtype != np.float32 or 0 in array.shape:
        raise DatasetError(
            f"{path}: expected float32 (n, K, C) or (n, C), not empty; "
            f"got {array.dtype} {array.shape}"
        )
    return array[:, None] if array.ndim == 2 else array


def _read_captions(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_CAPTIONS_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as exc:
        raise DatasetError(f"{path}: expected the sentences; {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{path}: expected UTF-8 text; {exc.reason}") from exc
    if len(content) > _MAX_CAPTIONS_BYTES:
        raise DatasetError(f"{path}: expected at most {_MAX_CAPTIONS_BYTES} bytes")
    # An empty line between others is a sentence too: without it all after it would move. Lines
    # end at "\n" only: sentences from the web hold other separators.
    return [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []


def _is_repeated(rows: npt.NDArray[np.float32]) -> bool:
    """Whether the first and the last five rows are one image each."""
    return len(rows) % _REPEATS == 0 and all(
        np.array_equal(rows[group], rows[group + i])
        for group in (0, len(rows) - _REPEATS)
        for i in range(1, _REPEATS)
    )
