"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def write_safetensors(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], metadata: dict[str, str]
) -> None:
    """Writes a file; a crash at any moment leaves the one that was there.

    Raises:
        OSError: The file cannot be written.
    """
    from safetensors.numpy import save_file

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    staging = Path(name)
    try:
        os.close(descriptor)
        save_file({n: np.ascontiguousarray(t) for n, t in tensors.items()}, staging, metadata)
        staging.chmod(_new_file_mode())
        put_in_place(staging, path)
    finally:
        with suppress(OSError):
            staging.unlink()


def put_in_place(staging: Path, path: Path) -> None:
    """Gives a written file its name, so that a power failure leaves the old one or the new one."""
    _sync(staging)
    staging.replace(path)
    _sync(path.parent)


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
