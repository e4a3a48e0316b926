"""Opens a bundle's detector on devices: the one place that chooses a backend."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from refine_itr.detection.backend import Backend, GraphShape
from refine_itr.detection.device import Device
from refine_itr.detection.grid import GridDetector
from refine_itr.errors import DeviceError
from refine_itr.types import Picture

OM = "detector.om"


def open_detectors(
    path: Path,
    *,
    input_size: int,
    grid: int,
    features: int,
    devices: Sequence[Device] = (Device("cpu"),),
    count: int | None = None,
    threads: int = 1,
    allow_fallback: bool = False,
) -> list[GridDetector]:
    """Opens a detector for each worker.

    Args:
        path: The ONNX file; for Ascend, ``detector.om`` beside it.
        input_size: S, the side of its pictures in pixels.
        grid: Cells along each side.
        features: C.
        devices: Cards or chips of one kind, or the CPU.
        count: Workers: at most the devices there are, any number on the CPU; None: one each.
        threads: Threads of one run on the CPU, at least 1.
        allow_fallback: Use the CPU, with a warning, where a device cannot be had.

    Raises:
        DetectorError: The graph is none, or another one.
        DeviceError: A device cannot be had, or there are fewer than workers. Those that were
            open are closed again.
    """
    count = count or len(devices)
    if devices[0].kind == "cpu":
        devices = [devices[0]] * count
    if count > len(devices):
        raise DeviceError(
            f"{devices[0]}: expected a device for each of {count} workers; got {len(devices)}"
        )
    shape = GraphShape(input_size, grid * grid, features)
    with ExitStack() as opened:
        detectors = []
        for device in devices[:count]:
            backend = _open_backend(path, shape, device, threads, allow_fallback)
            opened.callback(backend.close)
            detectors.append(
                GridDetector(backend, input_size=input_size, grid=grid, features=features)
            )
        opened.pop_all()
    return detectors


def probe(detector: GridDetector) -> float:
    """Runs a detector on one blank picture; returns the seconds of the second run."""
    width, height = detector.picture_size
    blank = Picture(np.zeros((height, width, 3), np.uint8), width, height)
    detector.detect([blank])
    started = time.perf_counter()
    detector.detect([blank])
    return time.perf_counter() - started


def _open_backend(
    path: Path, shape: GraphShape, device: Device, threads: int, allow_fallback: bool
) -> Backend:
    from refine_itr.detection.session import OnnxBackend

    if device.kind != "ascend":
        return OnnxBackend(path, shape, device, threads=threads, allow_fallback=allow_fallback)
    from refine_itr.detection.ascend import AscendBackend

    return AscendBackend(path.with_name(OM), shape, int(device.target))
