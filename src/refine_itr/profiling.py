"""Measures what a batch of each size takes in each stage and on each device."""

from __future__ import annotations

import io
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from refine_itr import _core
from refine_itr.assembly import (
    DECODE,
    DETECT,
    ENCODE,
    SEARCH,
    Encoder,
    decode_worker,
    detect_worker,
    encode_worker,
)
from refine_itr.errors import InvalidInputError
from refine_itr.index import search_worker
from refine_itr.planning import Profile, StageOption, fit_batch_time
from refine_itr.types import FloatArray

_SIZES = (1, 2, 4, 8, 16)
_SECONDS = 0.25  # for each size
_LEAST_RUNS = 3
_SAMPLES = 64  # pictures
_K = 10

Work = Callable[[list[Any]], Sequence[Any]]
Options = tuple[StageOption, ...]


def profile_model(
    name: str | Path,
    pictures: Sequence[bytes],
    *,
    device: str = "auto",
    threads: int = 0,
    allow_fallback: bool = False,
    gallery: int = 1000,
) -> Profile:
    """Measures decoding, detection, encoding and search of one model on this machine.

    Args:
        name: "default" or a bundle's folder.
        pictures: Encoded pictures to measure with.
        device: Where the convolutions run; the CPU is measured with one thread and with all.
        threads: CPU threads that may be used; 0 means all cores.
        allow_fallback: Use the CPU where the device cannot be had.
        gallery: Number of items that each picture is compared with.
    """
    from refine_itr.decoding import decode
    from refine_itr.detection import parse_devices
    from refine_itr.model import load

    cores = threads or _core.max_threads()
    devices = parse_devices(device)
    on_cpu = devices[0].kind == "cpu"
    detect: list[StageOption] = []
    for count in thread_counts(cores) if on_cpu else (0,):
        with load(
            name, threads=count or cores, device=device, allow_fallback=allow_fallback
        ) as model:
            detector = model.detectors[0]
            to_pixels = decode_worker(partial(decode, size=detector.picture_size))
            decoded = to_pixels(list(pictures))
            option = measure_option(
                detect_worker(detector),
                decoded,
                device=device if not on_cpu else "cpu",
                threads=count,
                max_workers=cores // count if on_cpu else len(devices),
                sizes=detector.sizes,
            )
            detect.append(option)
            regions = detect_worker(detector)(list(decoded[: _SIZES[-1]]))
            encode = measure_encoding(model.image_encoder, regions, cores)
            dim = model.dim
    reading = measure_option(to_pixels, pictures, device="cpu", threads=1, max_workers=cores)
    return Profile(
        cores,
        {
            DECODE: (reading,),
            DETECT: tuple(detect),
            ENCODE: encode,
            SEARCH: measure_search(unit_rows(gallery, dim), cores),
        },
    )


def measure_encoding(encoder: Encoder, regions: Sequence[FloatArray], cores: int) -> Options:
    """Measures an image encoder with one thread and with all.

    Args:
        encoder: The encoder.
        regions: Features of pictures, float32 (K, C) each.
        cores: CPU threads that may be used.
    """
    return tuple(
        measure_option(
            encode_worker(encoder, threads),
            regions,
            device="cpu",
            threads=threads,
            max_workers=cores // threads,
        )
        for threads in thread_counts(cores)
    )


def measure_search(gallery: FloatArray, cores: int) -> Options:
    """Measures the search of a gallery, float32 (n, D), on one thread."""
    work = search_worker(gallery, _K, threads=1)
    queries = list(unit_rows(_SIZES[-1], gallery.shape[1], seed=1))
    return (measure_option(work, queries, device="cpu", threads=1, max_workers=cores),)


def thread_counts(cores: int) -> tuple[int, ...]:
    """Returns the numbers of threads worth measuring: one, about half, and all cores."""
    return tuple(sorted({1, max(1, cores // 2), cores}))


def measure_option(
    work: Work,
    inputs: Sequence[Any],
    *,
    device: str,
    threads: int,
    max_workers: int,
    sizes: tuple[int, ...] = (),
) -> StageOption:
    """Times a stage's work at several batch sizes and fits t + a b; then beside busy cores.

    Args:
        work: One worker's work.
        inputs: Items to take batches from; used again and again.
        device: Where it runs.
        threads: CPU threads that are busy while a batch runs; 0 on an accelerator.
        max_workers: Most workers of this kind.
        sizes: Batch sizes that the device takes, ascending; none means any.
    """
    measured = sizes or _SIZES
    seconds = [_median_seconds(work, _batch(inputs, size)) for size in measured]
    fitted = fit_batch_time(measured, seconds)
    crowding = 1.0
    if threads and max_workers > 1:
        with _busy(work, _batch(inputs, measured[-1]), max_workers - 1):
            crowding = max(1.0, _median_seconds(work, _batch(inputs, measured[-1])) / seconds[-1])
    return StageOption(device, threads, fitted, max_workers, sizes, crowding)


def sample_pictures(folder: Path | None) -> list[bytes]:
    """Returns encoded pictures to measure with: files of a folder, or made-up ones.

    Raises:
        InvalidInputError: There is no picture in the folder.
    """
    if folder is None:
        return [_made_up_picture(seed) for seed in range(_SAMPLES)]
    from refine_itr.decoding import find_pictures

    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: expected a folder of photographs; there is none")
    found = find_pictures(folder)[:_SAMPLES]
    if not found:
        raise InvalidInputError(f"{folder}: expected photographs; none were found")
    return [path.read_bytes() for path in found]


def unit_rows(count: int, dim: int, seed: int = 0) -> FloatArray:
    """Returns float32 (count, dim), random unit vectors."""
    rows = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    unit: FloatArray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _made_up_picture(seed: int) -> bytes:
    """Returns a JPEG file of 640 x 480 pixels with about a photograph's share of fine detail."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    pixels = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-12, 13, pixels.shape, np.int16)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


@contextmanager
def _busy(work: Work, batch: list[Any], workers: int) -> Iterator[None]:
    """Keeps other workers of the same kind busy meanwhile."""
    stop = threading.Event()

    def keep_on() -> None:
        while not stop.is_set():
            work(batch)

    others = [threading.Thread(target=keep_on) for _ in range(workers)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        stop.set()
        for other in others:
            other.join()


def _batch(inputs: Sequence[Any], size: int) -> list[Any]:
    return [inputs[i % len(inputs)] for i in range(size)]


def _median_seconds(work: Work, batch: list[Any]) -> float:
    work(batch)  # warms caches and workspaces
    runs: list[float] = []
    deadline = time.perf_counter() + _SECONDS
    while len(runs) < _LEAST_RUNS or time.perf_counter() < deadline:
        started = time.perf_counter()
        work(batch)
        runs.append(time.perf_counter() - started)
    return statistics.median(runs)
