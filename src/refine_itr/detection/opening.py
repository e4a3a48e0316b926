"""Opens a bundle's detector on devices: the one place that chooses a backend."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from refine_itr.bundle import HEAD, OM, AnyDetectorConfig, DetectorConfig, TwoStageConfig
from refine_itr.detection.backend import Backend, GraphShape
from refine_itr.detection.candidates import CandidateSource, SingleGraph, TwoStage
from refine_itr.detection.device import Device
from refine_itr.detection.grid import GridDetector
from refine_itr.detection.objects import ObjectDetector
from refine_itr.errors import DeviceError
from refine_itr.types import AspectSize, Picture

if TYPE_CHECKING:
    from refine_itr.detection.session import OnnxGraph

Detector: TypeAlias = GridDetector | ObjectDetector


def open_detectors(
    path: Path,
    config: AnyDetectorConfig,
    *,
    features: int,
    devices: Sequence[Device] = (Device("cpu"),),
    count: int | None = None,
    threads: int = 1,
    allow_fallback: bool = False,
) -> list[Detector]:
    """Opens a detector for each worker.

    Args:
        path: The ONNX file. Beside it lie ``detector.om`` of a grid detector for Ascend, and
            ``detector-head.onnx`` of a two-stage detector.
        config: What it is.
        features: C.
        devices: Cards or chips of one kind, or the CPU.
        count: Workers: at most the devices there are, any number on the CPU; None: one each.
        threads: Threads of one run on the CPU, at least 1.
        allow_fallback: Use the CPU, with a warning, where a device cannot be had.

    Raises:
        DetectorError: A graph is none, or another one.
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
    with ExitStack() as opened:
        detectors = []
        for device in devices[:count]:
            detector = _Opener(path, device, threads, allow_fallback).open(config, features)
            opened.callback(detector.close)
            detectors.append(detector)
        opened.pop_all()
    return detectors


def probe(detector: Detector) -> float:
    """Runs a detector on one blank picture; returns the seconds of the second run."""
    size = detector.picture_size
    width, height = size.of(1, 1) if isinstance(size, AspectSize) else size
    blank = Picture(np.zeros((height, width, 3), np.uint8), width, height)
    detector.detect([blank])
    started = time.perf_counter()
    detector.detect([blank])
    return time.perf_counter() - started


@dataclass(frozen=True)
class _Opener:
    path: Path
    device: Device
    threads: int
    allow_fallback: bool

    def open(self, config: AnyDetectorConfig, features: int) -> Detector:
        if isinstance(config, DetectorConfig):
            backend = self._grid(GraphShape(config.input_size, config.grid**2, features))
            return GridDetector(
                backend, input_size=config.input_size, grid=config.grid, features=features
            )
        if self.device.kind == "ascend":
            raise DeviceError(
                f"{self.device}: expected a grid detector; through pyACL no {config.kind} detector "
                "runs. ONNX Runtime drives the same chip as cann:0"
            )
        first = self._graph(self.path)
        source: CandidateSource
        if isinstance(config, TwoStageConfig):
            source = TwoStage(first, self._graph(self.path.with_name(HEAD)), config, features)
        else:
            source = SingleGraph(first, config, features)
        return ObjectDetector(source, config, features)

    def _graph(self, path: Path) -> OnnxGraph:
        from refine_itr.detection.session import OnnxGraph

        return OnnxGraph(
            path, self.device, threads=self.threads, allow_fallback=self.allow_fallback
        )

    def _grid(self, shape: GraphShape) -> Backend:
        if self.device.kind == "ascend":
            from refine_itr.detection.ascend import AscendBackend

            return AscendBackend(self.path.with_name(OM), shape, int(self.device.target))
        from refine_itr.detection.session import OnnxBackend

        return OnnxBackend(self._graph(self.path), shape)
