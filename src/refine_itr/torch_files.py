"""Files that ``torch.save`` wrote, looked at before and after PyTorch's restricted unpickler.

That one runs nothing, but allocates whatever a file declares.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from refine_itr.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor


# What PyTorch before 1.6 wrote: a magic number, a version, the system, the object, its storages.
_LEGACY_PICKLES = 5


def check_container(path: Path) -> None:
    """Refuses what would grow when it is read: PyTorch stores tensors as they are.

    Raises:
        CheckpointError: There is no such file, it is damaged, a zip file that is compressed or
            declares more bytes than it has, or makes a ``bytearray``, which PyTorch fills with as
            many zeros as the file says.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint; there is none")
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                file.seek(0)
                _check_pickles(file, _LEGACY_PICKLES, path)
                return
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive.infolist(), path)
            # All of one name, in any case: PyTorch's reader may take another than Python's.
            for entry in archive.infolist():
                if entry.filename.lower().endswith(".pkl"):
                    with archive.open(entry) as pickled:
                        _check_pickles(pickled, 1, path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, MemoryError) as exc:
        raise CheckpointError(f"{path}: expected a whole checkpoint; {exc}") from exc


def _check_sizes(entries: Iterable[zipfile.ZipInfo], path: Path) -> None:
    entries = list(entries)
    declared = sum(entry.file_size for entry in entries)
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or declared > path.stat().st_size:
        raise CheckpointError(
            f"{path}: expected a checkpoint as torch.save writes it, uncompressed; "
            f"it declares {declared} bytes"
        )


def _check_pickles(file: IO[bytes], count: int, path: Path) -> None:
    for _ in range(count):
        for opcode, argument, _ in pickletools.genops(file):
            # The one opcode by which PyTorch's unpickler comes to a name.
            if opcode.name == "GLOBAL" and str(argument).endswith(" bytearray"):
                raise CheckpointError(
                    f"{path}: expected a whole checkpoint of tensors and plain values; "
                    "it has a bytearray"
                )


def check_size(tensors: Iterable[Tensor], path: Path, where: str) -> None:
    """Refuses tensors that repeat stored numbers: one byte could be terabytes.

    Raises:
        CheckpointError: They hold more bytes than the file.
    """
    if sum(t.numel() * t.element_size() for t in tensors) > path.stat().st_size:
        raise CheckpointError(f"{where}: expected no more numbers than the file has bytes for")
