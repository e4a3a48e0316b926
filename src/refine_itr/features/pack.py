"""Images one by one -> ``X_ims.npy``, in the order of their sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from refine_itr.errors import DatasetError
from refine_itr.features.bottom_up import ImageRegions

_SHOWN = 5


def read_ids(path: Path) -> list[str]:
    """Reads ``X_ids.txt``: an image's id a line.

    Raises:
        DatasetError: It is missing, empty or no text.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
        ids = [line.strip() for line in lines if line.strip()]
    except OSError as exc:
        raise DatasetError(f"{path}: expected ids, a line an image; {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{path}: expected UTF-8 text; {exc.reason}") from exc
    if not ids:
        raise DatasetError(f"{path}: expected ids, a line an image; it is empty")
    return ids


def pack(images: Iterable[ImageRegions], ids: Sequence[str], out: Path) -> tuple[int, ...]:
    """Writes the features of the images named in ``ids``, in that order, an image at a time.

    Args:
        images: In any order; those that are not named are passed over, and so is one that came
            before.
        ids: A row each; an id may come again.
        out: ``X_ims.npy``; it is there only when it is whole.

    Returns:
        The array's shape, (n, K, C).

    Raises:
        DatasetError: An image is missing, or has another number of regions or features than the
            first: a model takes as many as it was trained on.
    """
    rows: dict[str, list[int]] = {}
    for row, image_id in enumerate(ids):
        rows.setdefault(image_id, []).append(row)
    part = out.with_name(f".{out.name}.part")
    array: np.memmap | None = None
    try:
        for image in images:
            if image.image_id not in rows:
                continue
            if array is None:
                shape = (len(ids), *image.features.shape)
                array = np.lib.format.open_memmap(part, "w+", np.float32, shape)
            if image.features.shape != array.shape[1:]:
                raise DatasetError(
                    f"image {image.image_id}: expected {array.shape[1:]} features as in the "
                    f"first; got {image.features.shape}"
                )
            array[rows.pop(image.image_id)] = image.features
        if rows or array is None:
            raise DatasetError(
                f"expected features of every image; {len(rows)} of the ids have none: "
                f"{', '.join(list(rows)[:_SHOWN])}"
            )
        array.flush()
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return array.shape
