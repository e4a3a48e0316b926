"""Measures what a batch of each size takes in each stage and on each device.

The ways to run the stages take turns, one batch each: in a pipeline, too, the other stages' work
lies between two batches of a stage and drives its weights out of the caches.
"""

from __future__ import annotations

import io
import logging
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
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
from refine_itr.errors import InvalidInputError, PictureError
from refine_itr.index import search_worker
from refine_itr.planning import REST_S, BatchTime, Profile, StageOption, fit_batch_time
from refine_itr.types import FloatArray

_log = logging.getLogger("refine_itr")

_SIZES = (1, 2, 4, 8, 16)
_SECONDS = 0.25  # for each size
_LEAST_RUNS = 3
_RESTED_RUNS = 15
# What a batch costs in a real pipeline beyond its work: waking threads, the interpreter's lock,
# caches gone cold. 0.3 to 0.8 ms where it was measured (caps of 1 against caps of 16, two cores);
# one run cannot tell it from a machine's noise.
_HANDOVER_S = 0.0005
_SAMPLES = 64  # pictures
_K = 10

Work = Callable[[list[Any]], Sequence[Any]]


@dataclass(frozen=True)
class Candidate:
    """One way to run a stage, to be measured.

    Attributes:
        stage: The stage's name.
        device: Where it runs.
        threads: CPU threads that are busy while a batch runs; 0 on an accelerator.
        max_workers: Most workers of this kind.
        work: One worker's work.
        inputs: Items to take batches from; used again and again.
        sizes: Batch sizes that the device takes, ascending; none means any.
    """

    stage: str
    device: str
    threads: int
    max_workers: int
    work: Work
    inputs: Sequence[Any]
    sizes: tuple[int, ...] = ()

    def run(self, size: int, turn: int = 0) -> float:
        """Runs a batch, of other inputs at each turn, and returns its seconds."""
        first = turn * size
        batch = [self.inputs[i % len(self.inputs)] for i in range(first, first + size)]
        started = time.perf_counter()
        self.work(batch)
        return time.perf_counter() - started


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
        device: Where the convolutions run. The CPU is always measured as well, with one thread and
            with more: a plan may choose it.
        threads: CPU threads that may be used; 0 means all cores.
        allow_fallback: Use the CPU where the device cannot be had.
        gallery: Number of items that each picture is compared with.
    """
    from refine_itr.decoding import decode
    from refine_itr.model import load

    cores = threads or _core.max_threads()
    where, chips = _really_used(name, device, allow_fallback)
    ways = [("cpu", count, cores // count) for count in thread_counts(cores)]
    if where != "cpu":
        ways.insert(0, (where, 0, chips))
    detect: list[Candidate] = []
    with ExitStack() as opened:
        for place, count, workers in ways:
            model = opened.enter_context(load(name, threads=count or cores, device=place))
            detector = model.detectors[0]
            to_pixels = decode_worker(partial(decode, size=detector.picture_size))
            decoded = to_pixels(list(pictures))
            detect.append(
                Candidate(
                    *(DETECT, place, count, workers, detect_worker(detector), decoded),
                    sizes=detector.sizes,
                )
            )
        regions = detect[0].work(list(decoded[: _SIZES[-1]]))
        candidates = [
            Candidate(DECODE, "cpu", 1, cores, to_pixels, pictures),
            *detect,
            *encoding_candidates(model.image_encoder, regions, cores),
            *search_candidates(unit_rows(gallery, model.dim), cores),
        ]
        return measure(candidates, cores)


def _really_used(name: str | Path, device: str, allow_fallback: bool) -> tuple[str, int]:
    """Returns the devices by name, and how many: "auto" and a fallback are others than asked."""
    from refine_itr.detection import join_devices, parse_devices
    from refine_itr.model import load

    with load(name, device=device, allow_fallback=allow_fallback) as model:
        used = dict.fromkeys(detector.backend.device for detector in model.detectors)
    chips = [parse_devices(text)[0] for text in used if text != "cpu"]
    return (join_devices(chips), len(chips)) if chips else ("cpu", 1)


def encoding_candidates(
    encoder: Encoder, regions: Sequence[FloatArray], cores: int
) -> list[Candidate]:
    """Returns an image encoder with one thread and with all.

    Args:
        encoder: The encoder.
        regions: Features of pictures, float32 (K, C) each.
        cores: CPU threads that may be used.
    """
    return [
        Candidate(
            ENCODE, "cpu", threads, cores // threads, encode_worker(encoder, threads), regions
        )
        for threads in thread_counts(cores)
    ]


def search_candidates(gallery: FloatArray, cores: int) -> list[Candidate]:
    """Returns the search of a gallery, float32 (n, D), on one thread."""
    queries = list(unit_rows(_SIZES[-1], gallery.shape[1], seed=1))
    return [Candidate(SEARCH, "cpu", 1, cores, search_worker(gallery, _K, threads=1), queries)]


def measure(candidates: Sequence[Candidate], cores: int) -> Profile:
    """Times all candidates at several batch sizes and fits t + a b; then rested, beside busy cores.

    t has what handing a batch over costs as well.
    """
    seconds: list[dict[int, float]] = [{} for _ in candidates]
    for size in sorted({size for c in candidates for size in c.sizes or _SIZES}):
        able = [c for c in candidates if size in (c.sizes or _SIZES)]
        for candidate, median in zip(able, _in_turns(able, size), strict=True):
            seconds[candidates.index(candidate)][size] = median
    stages: dict[str, tuple[StageOption, ...]] = {}
    for candidate, times, rested in zip(candidates, seconds, _rested(candidates), strict=True):
        fitted = fit_batch_time(list(times), list(times.values()))
        option = StageOption(
            candidate.device,
            candidate.threads,
            BatchTime(fitted.setup_s + _HANDOVER_S, fitted.per_item_s),
            candidate.max_workers,
            candidate.sizes,
            _crowding(candidate),
            max(0.0, rested - fitted(_least_size(candidate))),
        )
        stages[candidate.stage] = (*stages.get(candidate.stage, ()), option)
    return Profile(cores, stages)


def thread_counts(cores: int) -> tuple[int, ...]:
    """Returns the numbers of threads worth measuring: one, about half, and all cores."""
    return tuple(sorted({1, max(1, cores // 2), cores}))


def _in_turns(candidates: Sequence[Candidate], size: int) -> list[float]:
    """Returns each one's median time for a batch of ``size``."""
    runs: list[list[float]] = [[] for _ in candidates]
    deadline = time.perf_counter() + _SECONDS * len(candidates)
    while len(runs[0]) <= _LEAST_RUNS or time.perf_counter() < deadline:
        for candidate, own in zip(candidates, runs, strict=True):
            own.append(candidate.run(size, len(own)))
    return [statistics.median(own[1:]) for own in runs]  # the first one warms up


def _rested(candidates: Sequence[Candidate]) -> list[float]:
    """Returns each one's median time for its smallest batch when all have rested before.

    After each rest a batch goes through one candidate of each stage: the first ones wake the cores
    for those that follow, as in a pipeline.
    """
    stages: dict[str, list[int]] = {}
    for place, candidate in enumerate(candidates):
        stages.setdefault(candidate.stage, []).append(place)
    runs: list[list[float]] = [[] for _ in candidates]
    for turn in range(_RESTED_RUNS):
        for way in range(max(map(len, stages.values()))):
            time.sleep(REST_S)
            for places in stages.values():
                place = places[way % len(places)]
                runs[place].append(candidates[place].run(_least_size(candidates[place]), turn))
    return [statistics.median(own) for own in runs]


def _least_size(candidate: Candidate) -> int:
    return (candidate.sizes or _SIZES)[0]


def _crowding(candidate: Candidate) -> float:
    """Returns how many times longer a batch takes when other workers keep all cores busy."""
    if not candidate.threads or candidate.max_workers == 1:
        return 1.0
    size = (candidate.sizes or _SIZES)[-1]
    (alone,) = _in_turns([candidate], size)
    with _busy(candidate, size):
        (beside,) = _in_turns([candidate], size)
    return max(1.0, beside / alone)


@contextmanager
def _busy(candidate: Candidate, size: int) -> Iterator[None]:
    """Keeps all other workers of the same kind busy meanwhile."""
    stop = threading.Event()

    def keep_on() -> None:
        while not stop.is_set():
            candidate.run(size)

    others = [threading.Thread(target=keep_on) for _ in range(candidate.max_workers - 1)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        stop.set()
        for other in others:
            other.join()


def sample_pictures(folder: Path | None) -> list[bytes]:
    """Returns encoded pictures to measure with: files of a folder, or made-up ones.

    An unreadable picture is logged as a warning, and skipped.

    Raises:
        InvalidInputError: There is no readable picture in the folder.
    """
    if folder is None:
        return [_made_up_picture(seed) for seed in range(_SAMPLES)]
    from refine_itr.decoding import find_pictures

    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: expected a folder of photographs; there is none")
    found = list(islice(filter(None, map(_readable, find_pictures(folder))), _SAMPLES))
    if not found:
        raise InvalidInputError(f"{folder}: expected photographs; none were found that can be read")
    return found


def _readable(path: Path) -> bytes | None:
    from refine_itr.decoding import open_picture

    data = path.read_bytes()
    try:
        open_picture(data)
    except PictureError as exc:
        _log.warning("%s is left out: %s", path, exc)
        return None
    return data


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
