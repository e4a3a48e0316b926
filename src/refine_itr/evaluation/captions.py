"""``captions.jsonl``: one line an image, ``{"image": "a.jpg", "captions": ["...", ...]}``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from refine_itr.errors import DatasetError


@dataclass(frozen=True)
class CaptionSet:
    """Images with the sentences that people wrote of them.

    Attributes:
        images: n files.
        sentences: m sentences, image by image.
        owner: int64 (m,): the image that each sentence describes.
    """

    images: list[Path]
    sentences: list[str]
    owner: npt.NDArray[np.int64]


def read_captions(captions: Path, folder: Path) -> CaptionSet:
    """Reads a ``captions.jsonl``; every image must lie inside ``folder``.

    Raises:
        DatasetError: A line is malformed, names a file outside of the folder or one that is not
            there, or there is no line at all.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: expected a folder of images; there is none")
    images: list[Path] = []
    sentences: list[str] = []
    owner: list[int] = []
    for number, line in enumerate(_lines(captions), start=1):
        if not line.strip():
            continue
        name, texts = _parse(line, f"{captions}:{number}")
        path = _inside(folder, name, f"{captions}:{number}")
        owner += [len(images)] * len(texts)
        images.append(path)
        sentences += texts
    if not images:
        raise DatasetError(f"{captions}: expected at least one line; it is empty")
    return CaptionSet(images, sentences, np.array(owner, np.int64))


def _lines(path: Path) -> list[str]:
    try:
        # Not splitlines(): a sentence may hold what Unicode calls a line's end.
        return path.read_text("utf-8").split("\n")
    except OSError as exc:
        raise DatasetError(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{path}: expected UTF-8 text; {exc.reason}") from exc


def _parse(line: str, where: str) -> tuple[str, list[str]]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as exc:  # ValueError: also numbers of too many digits
        raise DatasetError(f"{where}: expected a line of JSON; {exc}") from exc
    image = row.get("image") if isinstance(row, dict) else None
    captions = row.get("captions") if isinstance(row, dict) else None
    well_formed = isinstance(captions, list) and all(isinstance(c, str) for c in captions)
    if not isinstance(image, str) or not well_formed or not captions:
        raise DatasetError(
            f'{where}: expected {{"image": "...", "captions": ["...", ...]}}; got {line[:80]}'
        )
    return image, captions


def _inside(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    try:
        inside, there = path.resolve().is_relative_to(folder.resolve()), path.is_file()
    except (OSError, ValueError) as exc:  # too long a name, or one with a zero byte
        raise DatasetError(f"{where}: {name[:80]!r}: expected the name of a file; {exc}") from exc
    if not inside:
        raise DatasetError(f"{where}: {name}: expected an image inside {folder}")
    if not there:
        raise DatasetError(f"{where}: {path}: no such image")
    return path
