"""Which files of a folder are pictures."""

from __future__ import annotations

import os
from pathlib import Path

from refine_itr.errors import InvalidInputError

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm",
     ".pgm", ".pbm", ".avif", ".jp2"}
)  # fmt: skip


def find_pictures(folder: Path) -> list[Path]:
    """Returns the pictures below ``folder``, by name suffix, sorted.

    Hidden files and folders are left out, and symbolic links to folders are not followed: they
    may lead out of the folder or in a circle.

    Raises:
        InvalidInputError: ``folder`` is no folder.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: expected a folder of pictures; there is none")
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent, name)
            for name in sorted(files)
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES
        ]
    return found
