"""Decoding with Pillow: any mode, upright, and never more pixels than the machine can bear."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from refine_itr.errors import InvalidInputError, PictureError
from refine_itr.types import Picture, PictureSize, PictureSource

MAX_PIXELS = 89_478_485
"""Most pixels that are decoded, after a JPEG's reduced-size decoding: 256 MiB of RGB."""

# Pillow goes by the content, not by the name. Its other readers stay closed: that of EPS, for
# one, runs Ghostscript, an interpreter, on the file.
_FORMATS = frozenset(
    {"JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000"}
)

_ORIENTATION = 0x0112  # the EXIF tag; its values 5 to 8 turn the picture by a quarter

# What Pillow's many decoders raise on damaged files.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError)

# warnings.catch_warnings() changes the whole process's filters, and decoding runs in threads.
_warnings_lock = threading.Lock()


def decode(source: PictureSource, size: PictureSize) -> Picture:
    """Decodes a picture and resizes it.

    Args:
        source: A file's path, an encoded file's bytes, a PIL image, or uint8 pixels (H, W),
            (H, W, 3) or (H, W, 4).
        size: (width, height) of the result, without regard to the picture's aspect; or an
            ``AspectSize``, which keeps it.

    Raises:
        PictureError: The picture cannot be read.
        InvalidInputError: ``source`` is none of the above.
    """
    with _opened(source, draft_size=size if isinstance(size, tuple) else None) as opened:
        image, (width, height) = opened
        if isinstance(size, tuple):
            pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
        else:
            pixels = _sampled(image, size.of(width, height))
    return Picture(pixels, width, height)


def _sampled(image: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Bilinear between the four nearest pixels, also where it shrinks, rounded.

    Two-stage detectors were trained on such pictures: torch.nn.functional.interpolate and
    cv2.resize do not average. Pillow's resize() does, and its transform() rounds down.
    """
    pixels = np.asarray(image)
    top, bottom, y = _neighbours(image.height, size[1])
    left, right, x = _neighbours(image.width, size[0])
    rows = pixels[top] * (1 - y)[:, None, None] + pixels[bottom] * y[:, None, None]
    sampled = rows[:, left] * (1 - x)[:, None] + rows[:, right] * x[:, None]
    return np.rint(sampled).astype(np.uint8)


def _neighbours(
    old: int, new: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Returns the pixels before and after each new one's centre, and how near the latter is."""
    centre = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    before = np.floor(centre).astype(np.intp)
    return before, np.minimum(before + 1, old - 1), (centre - before).astype(np.float32)


def open_picture(source: PictureSource) -> Image.Image:
    """Returns the picture in full size as an upright RGB image; raises as ``decode`` does."""
    with _opened(source) as (image, _):
        return image


@contextmanager
def _opened(
    source: PictureSource, draft_size: tuple[int, int] | None = None
) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """Yields the upright RGB image and the upright original's (width, height).

    With ``draft_size``, a JPEG file is decoded at the smallest of its reduced sizes that is
    still twice as large: that leaves the resampling filter something to average.
    """
    if isinstance(source, Image.Image):
        yield _upright(source)
    elif isinstance(source, np.ndarray):
        yield _upright(_from_array(source))
    else:
        with _open_file(source) as image:
            yield _upright(image, draft_size)


def _upright(
    image: Image.Image, draft_size: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    try:
        width, height = image.size
        if draft_size is not None:
            image.draft("RGB", (2 * draft_size[0], 2 * draft_size[1]))
        # Before anything else: of a PNG even getexif() decodes the whole picture.
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(
                f"expected at most {MAX_PIXELS} pixels, got {image.width} x {image.height}"
            )
        if image.getexif().get(_ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        return _to_rgb(ImageOps.exif_transpose(image)), (width, height)
    except _DECODING_ERRORS as exc:
        raise PictureError(f"expected a whole picture; {exc}") from exc


def _open_file(source: Path | bytes) -> Image.Image:
    if not isinstance(source, Path | bytes):
        hint = " (a str is a sentence; for a file give a Path)" if isinstance(source, str) else ""
        raise InvalidInputError(
            "picture: expected a Path, bytes, PIL image or uint8 array; "
            f"got {type(source).__name__}{hint}"
        )
    try:
        with _warnings_lock, warnings.catch_warnings():
            # Pillow warns of large pictures; here MAX_PIXELS decides, looked at after draft().
            warnings.simplefilter("ignore")
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            return Image.open(file, formats=_readable_formats())
    except UnidentifiedImageError as exc:
        raise PictureError("expected a picture; the content is of no known format") from exc
    except Image.DecompressionBombError as exc:
        raise PictureError(f"expected at most {MAX_PIXELS} pixels; {exc}") from exc
    except _DECODING_ERRORS as exc:
        raise PictureError(f"expected a readable picture; {exc}") from exc


@lru_cache(maxsize=1)
def _readable_formats() -> tuple[str, ...]:
    """Those of ``_FORMATS`` that the installed Pillow has."""
    Image.init()
    return tuple(sorted(_FORMATS & Image.OPEN.keys()))


def _from_array(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not shaped or pixels.size == 0:
        raise InvalidInputError(
            "picture: expected uint8 (H, W), (H, W, 3) or (H, W, 4), not empty; "
            f"got {pixels.dtype} {pixels.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_wide_grey(image)
    if image.has_transparency_data:
        # What lies under transparent pixels is arbitrary; a white page is what people see.
        rgba = image.convert("RGBA")
        page = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(page, rgba).convert("RGB")
    return image.convert("RGB")


def _from_wide_grey(image: Image.Image) -> Image.Image:
    """16- and 32-bit grey to 8 bits, which Pillow would clip instead of scaling."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if image.mode.startswith("I;16"):
        low, span = 0.0, 65535.0
    else:  # no fixed range: stretch what is there
        low = float(values.min())
        span = float(values.max()) - low or 1.0
    grey = ((values - low) * (255.0 / span)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
