"""ONNX Runtime: sessions, their threads and errors. The only place that imports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime as ort

from refine_itr.errors import DetectorError


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Turns whatever ONNX Runtime raises into a ``DetectorError`` that names ``what``."""
    try:
        yield
    except Exception as exc:  # its exceptions share no base class of their own
        raise DetectorError(f"{what}: {exc}") from exc


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """Opens a graph on the CPU.

    Args:
        path: The ONNX file. Weights outside of it are confined to its folder by ONNX Runtime.
        threads: Threads of one run, at least 1.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between runs would take the cores from the encoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    with translated_errors(str(path)):
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
