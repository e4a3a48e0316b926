"""Decoding with Pillow: any mode, upright, and never more pixels than the machine can bear."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from refine_itr.errors import InvalidInputError, PictureError
from refine_itr.types import Picture, PictureSource

MAX_PIXELS = 89_478_485
"""Most pixels that are decoded, after a JPEG's reduced-size decoding: 256 MiB of RGB."""

# warnings.catch_warnings() changes the whole process's filters, and decoding runs in threads.
_warnings_lock = threading.Lock()


def decode(source: PictureSource, size: tuple[int, int]) -> Picture:
    """Decodes a picture and resizes it to ``size`` without regard to its aspect.

    Args:
        source: A file's path, an encoded file's bytes, a PIL image, or uint8 pixels (H, W),
            (H, W, 3) or (H, W, 4).
        size: (width, height) of the result.

    Raises:
        PictureError: The picture cannot be read.
        InvalidInputError: ``source`` is none of the above.
    """
    image, (width, height) = _open_upright(source, draft_size=size)
    resized = image.resize(size, Image.Resampling.BILINEAR)
    return Picture(np.asarray(resized), width, height)


def open_picture(source: PictureSource, draft_size: tuple[int, int] | None = None) -> Image.Image:
    """Returns the picture as an upright RGB image.

    Args:
        source: As for ``decode``.
        draft_size: A size that the result must not fall below: a JPEG is then decoded at
            the smallest of its reduced sizes that is at least twice as large.
    """
    return _open_upright(source, draft_size)[0]


def _open_upright(
    source: PictureSource, draft_size: tuple[int, int] | None
) -> tuple[Image.Image, tuple[int, int]]:
    """Returns the RGB image and the upright original's (width, height)."""
    image = _open(source)
    try:
        width, height = image.size
        # Orientations 5 to 8 turn the picture by a quarter.
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):
            width, height = height, width
        if draft_size is not None:
            # Twice the size leaves the resampling filter something to average.
            image.draft("RGB", (2 * draft_size[0], 2 * draft_size[1]))
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(
                f"expected at most {MAX_PIXELS} pixels, got {image.width} x {image.height}"
            )
        return _to_rgb(ImageOps.exif_transpose(image)), (width, height)
    except (OSError, SyntaxError, ValueError, struct.error, EOFError) as exc:
        raise PictureError(f"expected a whole picture; {exc}") from exc


def _open(source: PictureSource) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Path):
        file: Path | io.BytesIO = source
    elif isinstance(source, bytes):
        file = io.BytesIO(source)
    else:
        raise InvalidInputError(
            "picture: expected a Path, bytes, PIL image or uint8 array; "
            f"got {type(source).__name__}"
            + (" (a str is a sentence; for a file give a Path)" if isinstance(source, str) else "")
        )
    try:
        with _warnings_lock, warnings.catch_warnings():
            # Pillow warns where MAX_PIXELS, looked at after draft(), decides.
            warnings.simplefilter("ignore")
            return Image.open(file)
    except UnidentifiedImageError as exc:
        raise PictureError("expected a picture; the content is of no known image format") from exc
    except Image.DecompressionBombError as exc:
        raise PictureError(f"expected at most {MAX_PIXELS} pixels; {exc}") from exc
    except (OSError, SyntaxError, ValueError, struct.error) as exc:
        raise PictureError(f"expected a readable picture; {exc}") from exc


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
    values = np.asarray(image, dtype=np.float32)
    if image.mode.startswith("I;16"):
        low, span = 0.0, 65535.0
    else:  # no fixed range: stretch what is there
        finite = values[np.isfinite(values)]
        low = float(finite.min()) if finite.size else 0.0
        span = (float(finite.max()) - low if finite.size else 0.0) or 1.0
    grey = np.nan_to_num((values - low) * (255.0 / span), posinf=255.0).clip(0, 255)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
