"""One image at a time from the files of bottom-up attention and of its followers."""

from __future__ import annotations

import base64
import binascii
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from refine_itr.errors import DatasetError
from refine_itr.types import FloatArray

# Columns by their number: bottom-up attention has 6, LXMERT 10 with the height first.
_COLUMNS = {
    6: ("image_id", "width", "height", "num_boxes", "boxes", "features"),
    10: ("image_id", "height", "width", *["-"] * 4, "num_boxes", "boxes", "features"),
}
_MAX_LINE = 64 << 20
_MAX_ARRAY_BYTES = 64 << 20
_MAX_BOXES = 4096


@dataclass(frozen=True)
class ImageRegions:
    """What a detector found in one image.

    Attributes:
        image_id: As the file has it.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        boxes: float32 (K, 4): left, top, right, bottom in pixels.
        features: float32 (K, C).
    """

    image_id: str
    width: int
    height: int
    boxes: FloatArray
    features: FloatArray


def read_tsv(path: Path) -> Iterator[ImageRegions]:
    """Reads a bottom-up TSV, in the column order of its authors or of LXMERT, line by line.

    Yields:
        The images in the file's order.

    Raises:
        DatasetError: A line is truncated, or its numbers do not fit together.
    """
    try:
        with path.open("rb") as file:
            number = 0
            # Bounded lines: a file without any line end must not fill the memory.
            while line := file.readline(_MAX_LINE):
                number += 1
                yield _parse(line, f"{path}:{number}")
    except OSError as exc:
        raise DatasetError(f"{path}: expected a TSV of features; {exc.strerror}") from exc


def read_npz(path: Path) -> ImageRegions:
    """Reads one image's ``.npz`` as bottom-up-attention.pytorch writes it. Nothing is unpickled.

    ``x`` may be (K, C) or (C, K), which OpenVQA expects; ``bbox`` tells which.

    Raises:
        DatasetError: It is damaged, an array is missing, pickled or of another shape.
    """
    try:
        with zipfile.ZipFile(path) as file:
            boxes = _member(file, "bbox", path)
            x = _member(file, "x", path)
            width, height = (_size(_member(file, f"image_{side}", path), path) for side in "wh")
    except OSError as exc:
        raise DatasetError(f"{path}: expected an .npz; {exc.strerror or exc}") from exc
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as exc:
        raise DatasetError(f"{path}: expected a whole .npz; {exc}") from exc
    if boxes.ndim != 2 or x.ndim != 2 or len(boxes) not in x.shape:
        raise DatasetError(
            f"{path}: expected bbox (K, 4) and x (K, C); got {boxes.shape} and {x.shape}"
        )
    features = x if len(x) == len(boxes) else x.T
    name = path.name.removesuffix(".npz").removesuffix(".jpg")
    return _checked(ImageRegions(name, width, height, _float32(boxes), _float32(features)), path)


def _parse(line: bytes, where: str) -> ImageRegions:
    fields = line.rstrip(b"\r\n").split(b"\t")
    if len(fields) not in _COLUMNS or len(line) == _MAX_LINE:
        raise DatasetError(f"{where}: expected 6 or 10 columns between tabs; got {len(fields)}")
    row = dict(zip(_COLUMNS[len(fields)], fields, strict=True))
    width, height, count = (_integer(row[n], n, where) for n in ("width", "height", "num_boxes"))
    if not 1 <= count <= _MAX_BOXES:
        raise DatasetError(f"{where}: num_boxes: expected 1 to {_MAX_BOXES}; got {count}")
    boxes, features = (_floats(row[n], count, n, where) for n in ("boxes", "features"))
    name = row["image_id"].decode("utf-8", "replace")
    return _checked(ImageRegions(name, width, height, boxes, features), where)


def _integer(field: bytes, name: str, where: str) -> int:
    if not field.isdigit() or len(field) > 9:
        raise DatasetError(f"{where}: {name}: expected a whole number; got {field[:20]!r}")
    return int(field)


def _floats(field: bytes, count: int, name: str, where: str) -> FloatArray:
    try:
        content = base64.b64decode(field, validate=True)
    except binascii.Error as exc:
        raise DatasetError(f"{where}: {name}: expected base64; {exc}") from exc
    if not content or len(content) % (4 * count):
        raise DatasetError(
            f"{where}: {name}: expected float32 of {count} boxes; got {len(content)} bytes"
        )
    return _float32(np.frombuffer(content, "<f4").reshape(count, -1))


def _checked(image: ImageRegions, where: object) -> ImageRegions:
    if image.boxes.shape != (len(image.features), 4) or image.features.size == 0:
        raise DatasetError(
            f"{where}: expected boxes (K, 4) and features (K, C); "
            f"got {image.boxes.shape} and {image.features.shape}"
        )
    if not np.isfinite(image.features).all() or not np.isfinite(image.boxes).all():
        raise DatasetError(f"{where}: expected finite numbers; got NaN or infinity")
    return image


def _member(file: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """One array, allocated only after its declared size was checked."""
    if f"{name}.npy" not in file.namelist():
        raise DatasetError(f"{path}: expected x, bbox, image_w and image_h; there is no {name}")
    with file.open(f"{name}.npy") as member:
        try:
            shape, fortran, dtype = _header(member)
        except Exception as exc:  # damaged headers raise almost anything
            raise DatasetError(f"{path}: {name}: expected a NumPy array; {exc}") from exc
        if dtype.kind not in "fiu":
            raise DatasetError(
                f"{path}: {name}: expected numbers; got {dtype}, which would have to be "
                f"unpickled. Save it again as np.asarray({name}, np.float32)"
            )
        size = math.prod(shape) * dtype.itemsize
        # A negative length would read all that the file unpacks to.
        bounded = all(length >= 0 for length in shape) and size <= _MAX_ARRAY_BYTES
        content = member.read(size + 1) if bounded else b""
    if not bounded or len(content) != size:
        raise DatasetError(
            f"{path}: {name}: expected {dtype} {shape} of at most {_MAX_ARRAY_BYTES} bytes, whole"
        )
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(member)
    if version != (1, 0):
        # Later ones are for headers beyond 64 KiB, and NumPy allocates what such a one declares.
        raise ValueError(f"expected version 1.0 of the format; got {version[0]}.{version[1]}")
    return np.lib.format.read_array_header_1_0(member)


def _size(number: np.ndarray, path: Path) -> int:
    if number.size != 1 or number.dtype.kind not in "iu":
        raise DatasetError(f"{path}: expected image_w and image_h as one whole number each")
    return int(number.ravel()[0])


def _float32(array: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(array, np.float32)
