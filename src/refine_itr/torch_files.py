"""Files that ``torch.save`` wrote, looked at before and after PyTorch's restricted unpickler.

That one runs nothing, but allocates whatever a file declares.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from refine_itr.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor


def check_container(path: Path) -> None:
    """Refuses what would grow when it is read: PyTorch stores tensors as they are.

    Raises:
        CheckpointError: There is no such file, or it is a zip file that is damaged, compressed or
            declares more bytes than it has.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint; there is none")
    with path.open("rb") as start:
        if start.read(4) != b"PK\x03\x04":  # what PyTorch before 1.6 wrote
            return
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
        raise CheckpointError(f"{path}: expected a whole checkpoint; {exc}") from exc
    declared = sum(entry.file_size for entry in entries)
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or declared > path.stat().st_size:
        raise CheckpointError(
            f"{path}: expected a checkpoint as torch.save writes it, uncompressed; "
            f"it declares {declared} bytes"
        )


def check_size(tensors: Iterable[Tensor], path: Path, where: str) -> None:
    """Refuses tensors that repeat stored numbers: one byte could be terabytes.

    Raises:
        CheckpointError: They hold more bytes than the file.
    """
    if sum(t.numel() * t.element_size() for t in tensors) > path.stat().st_size:
        raise CheckpointError(f"{where}: expected no more numbers than the file has bytes for")
