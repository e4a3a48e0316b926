"""The index file: a safetensors file, written whole or not at all, read memory-mapped.

Tensors ``images`` (n, D) and ``texts`` (m, D), float32; ``records``, uint8: UTF-8 JSON with what
each row stands for. Metadata: format, version and the model's fingerprint.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refine_itr.errors import IndexFileError
from refine_itr.types import FloatArray

FORMAT = "refine-itr-index"
VERSION = "1"


@dataclass(frozen=True)
class StoredIndex:
    """The content of an index file.

    Attributes:
        model: Fingerprint of the model that made it.
        images: float32 (n, D).
        texts: float32 (m, D).
        records: What the rows stand for; see ``refine_itr.index.index``.
    """

    model: str
    images: FloatArray
    texts: FloatArray
    records: dict[str, Any]


def write_index(path: Path, index: StoredIndex) -> None:
    """Writes an index file; a crash at any moment leaves the file that was there.

    Raises:
        IndexFileError: The file cannot be written.
    """
    from safetensors.numpy import save_file

    records = np.frombuffer(json.dumps(index.records).encode(), np.uint8)
    tensors = {"images": index.images, "texts": index.texts, "records": records}
    metadata = {"format": FORMAT, "version": VERSION, "model": index.model}
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as exc:
        raise IndexFileError(f"{path}: cannot be written; {exc.strerror}") from exc
    staging = Path(name)
    try:
        os.close(descriptor)
        save_file({n: np.ascontiguousarray(t) for n, t in tensors.items()}, staging, metadata)
        staging.chmod(_new_file_mode())
        _sync(staging)
        staging.replace(path)
        _sync(path.parent)
    except OSError as exc:
        raise IndexFileError(f"{path}: cannot be written; {exc.strerror}") from exc
    finally:
        with suppress(OSError):
            staging.unlink()


def read_index(path: Path) -> StoredIndex:
    """Opens an index file; the embeddings stay on disk until they are used.

    Raises:
        IndexFileError: There is none, or it is damaged or of another version.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise IndexFileError(f"{path}: expected an index file; there is none")
    try:
        with safe_open(path, framework="np") as file:  # checks the header and all offsets
            metadata = file.metadata() or {}
            _check_metadata(path, metadata)
            records = json.loads(file.get_tensor("records").tobytes())
            matrices = {name: _map(path, name) for name in ("images", "texts")}
    except (SafetensorError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as exc:
        raise IndexFileError(f"{path}: expected an index file; {exc}") from exc
    if not isinstance(records, dict):
        raise IndexFileError(f"{path}: records: expected an object")
    return StoredIndex(metadata["model"], matrices["images"], matrices["texts"], records)


def _check_metadata(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT or "model" not in metadata:
        raise IndexFileError(f"{path}: expected an index file; got another safetensors file")
    if metadata.get("version") != VERSION:
        raise IndexFileError(f"{path}: expected version {VERSION}, got {metadata.get('version')!r}")


def _map(path: Path, name: str) -> FloatArray:
    """Maps one tensor copy-on-write; the safetensors library would copy it."""
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(header_size)).get(name)
    if entry is None or entry["dtype"] != "F32" or len(entry["shape"]) != 2:
        raise IndexFileError(f"{path}: {name}: expected float32 (n, D); got {entry}")
    shape = tuple(entry["shape"])
    if 0 in shape:
        return np.empty(shape, np.float32)
    offset = 8 + header_size + entry["data_offsets"][0]
    if offset % np.dtype(np.float32).itemsize:
        raise IndexFileError(f"{path}: {name}: expected data aligned to 4 bytes; got byte {offset}")
    return np.memmap(path, np.float32, mode="c", offset=offset, shape=shape)


def _new_file_mode() -> int:
    """The mode that a file made by open() would get; mkstemp makes private ones."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
