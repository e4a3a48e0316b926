"""The index file: a safetensors file, written whole or not at all, read memory-mapped.

Tensors ``images`` (n, D) and ``texts`` (m, D), float32; ``records``, uint8: UTF-8 JSON with what
each row stands for. Metadata: format, version and the model's fingerprint.

An index that corrects hubs is of version 2: D + 1 columns, the last one the offsets; and the bank
of queries that they come from, float16 (., D) in ``bank.images`` and ``bank.texts``, with its
``temperature`` in the metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_itr.errors import IndexFileError
from refine_itr.scoring import QueryBank
from refine_itr.types import FloatArray
from refine_itr.writing import write_safetensors

FORMAT = "refine-itr-index"
PLAIN, CORRECTED = "1", "2"  # versions


@dataclass(frozen=True)
class StoredIndex:
    """The content of an index file.

    Attributes:
        model: Fingerprint of the model that made it.
        images: float32 (n, D), or (n, D + 1) with a bank.
        texts: float32 (m, D), or (m, D + 1) with a bank.
        records: What the rows stand for; see ``refine_itr.index.index``.
        bank: Where the offsets come from; None: there are none.
    """

    model: str
    images: FloatArray
    texts: FloatArray
    records: dict[str, Any]
    bank: QueryBank | None = None


def write_index(path: Path, index: StoredIndex) -> None:
    """Writes an index file; a crash at any moment leaves the file that was there.

    Raises:
        IndexFileError: The file cannot be written.
    """
    records = np.frombuffer(json.dumps(index.records).encode(), np.uint8)
    tensors: dict[str, npt.NDArray[Any]] = {
        "images": index.images,
        "texts": index.texts,
        "records": records,
    }
    metadata = {"format": FORMAT, "version": PLAIN, "model": index.model}
    if bank := index.bank:
        tensors |= {"bank.images": bank.images, "bank.texts": bank.texts}
        metadata |= {"version": CORRECTED, "temperature": repr(bank.temperature)}
    try:
        write_safetensors(path, tensors, metadata)
    except OSError as exc:
        raise IndexFileError(f"{path}: cannot be written; {exc.strerror}") from exc


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
            bank = _read_bank(path, file, metadata)
    except (SafetensorError, ValueError, RecursionError) as exc:
        raise IndexFileError(f"{path}: expected an index file; {exc}") from exc
    if not isinstance(records, dict):
        raise IndexFileError(f"{path}: records: expected an object")
    return StoredIndex(metadata["model"], matrices["images"], matrices["texts"], records, bank)


def _check_metadata(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT or "model" not in metadata:
        raise IndexFileError(f"{path}: expected an index file; got another safetensors file")
    if (version := metadata.get("version")) not in (PLAIN, CORRECTED):
        raise IndexFileError(f"{path}: expected version {PLAIN} or {CORRECTED}, got {version!r}")


def _read_bank(path: Path, file: Any, metadata: dict[str, str]) -> QueryBank | None:
    if metadata["version"] == PLAIN:
        return None
    try:
        return QueryBank(
            file.get_tensor("bank.texts"),
            file.get_tensor("bank.images"),
            temperature=float(metadata["temperature"]),
        )
    except (KeyError, TypeError, ValueError) as exc:  # an InvalidInputError is a ValueError
        raise IndexFileError(f"{path}: {exc}") from exc


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
