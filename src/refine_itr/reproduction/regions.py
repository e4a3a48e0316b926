"""Regions of photographs through a bundle's detector, computed once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from refine_itr import _core
from refine_itr.bundle import BundleConfig
from refine_itr.decoding import decode
from refine_itr.detection import Detector, open_detectors
from refine_itr.errors import DatasetError, PictureError
from refine_itr.training.features import Progress, pictures_key
from refine_itr.types import Picture, PictureSize

_BATCH = 16

HalfArray = npt.NDArray[np.float16]


def cached_regions(
    detector: Path, config: BundleConfig, photographs: Sequence[Path], cache: Path, report: Progress
) -> HalfArray:
    """Returns float16 (n, K, C), memory-mapped; made when missing.

    Args:
        detector: An ONNX file.
        config: The bundle's: what the detector takes and gives.
        photographs: n files.
        cache: Folder of the array, whose name changes with the detector and the files.
        report: Told of the progress.

    Raises:
        DatasetError: A photograph cannot be read.
        DetectorError: The detector failed.
    """
    treatment = hashlib.sha256(detector.read_bytes()).hexdigest()
    path = cache / f"regions-{pictures_key(treatment, photographs)}.npy"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _make(path, detector, config, photographs, report)
    array: HalfArray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _make(
    path: Path,
    detector: Path,
    config: BundleConfig,
    photographs: Sequence[Path],
    report: Progress,
) -> None:
    part = path.with_suffix(".part")  # what an interrupted run leaves is never read
    shape = (len(photographs), config.image.regions, config.image.features)
    array = np.lib.format.open_memmap(part, "w+", np.float16, shape)
    assert config.detector is not None  # its ONNX file is here
    (opened,) = open_detectors(
        detector,
        config.detector,
        features=config.image.features,
        threads=_core.max_threads(),
    )
    try:
        _fill(array, opened, photographs, report)
    finally:
        opened.close()
    array.flush()
    part.replace(path)


def _fill(
    array: HalfArray, detector: Detector, photographs: Sequence[Path], report: Progress
) -> None:
    total = len(photographs)
    with ThreadPoolExecutor(_core.max_threads(), thread_name_prefix="decode") as pool:
        for start in range(0, total, _BATCH):
            stop = min(start + _BATCH, total)
            decoded = pool.map(partial(_decode, detector.picture_size), photographs[start:stop])
            array[start:stop] = detector.detect(list(decoded)).features
            report("regions", stop, total)


def _decode(size: PictureSize, path: Path) -> Picture:
    try:
        return decode(path, size)
    except PictureError as exc:
        raise DatasetError(f"{path}: {exc}") from exc
