"""Cache on disk of what the frozen part of the backbone makes of each picture.

One array a view: ``CACHE/<key>/<view>.npy``, (n, height, width, channels), read memory-mapped:
float16 of what was computed in bfloat16, float32 of what has to be exact. The key is a hash of
the frozen weights, the way views are drawn, and each picture's path, size and time of change:
another backbone or a changed picture is another key.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from refine_itr.decoding import decode, open_picture
from refine_itr.errors import DatasetError, PictureError
from refine_itr.training.augment import random_view
from refine_itr.training.backbone import EfficientNetLite0, normalize_pixels

_BATCH = 8  # small enough for the first maps to stay in the processor's caches
_WORKERS = 2

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class ViewSettings:
    """How views are drawn. View 0 is the picture itself, the others are random.

    Attributes:
        input_size: Side in pixels of a view.
        min_area: Least share of the picture that a view keeps.
        jitter: Strength of the change of colours.
        seed: Of the random views; each picture and view has its own stream.
    """

    input_size: int
    min_area: float
    jitter: float
    seed: int


@dataclass(frozen=True)
class FrozenTrunk:
    """The frozen part of a backbone: the stem and the first ``blocks`` blocks.

    With ``whole`` it is all of it; there is nothing to fine-tune then. ``bfloat16`` computes in
    that precision where autocast allows it, and halves the cache.
    """

    network: EfficientNetLite0
    blocks: int
    whole: bool
    bfloat16: bool

    @torch.no_grad()
    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
        """Maps uint8 (n, S, S, 3) to float16 or float32 (n, height, width, channels)."""
        pixels = normalize_pixels(torch.from_numpy(images))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            x = self.network(pixels) if self.whole else self.network.trunk(pixels, self.blocks)
        maps = x.permute(0, 2, 3, 1).contiguous()
        out: npt.NDArray[np.floating] = (maps.half() if self.bfloat16 else maps).numpy()
        return out

    def fingerprint(self) -> str:
        """A hash of all that decides the result."""
        digest = hashlib.sha256(f"{self.blocks} {self.whole} {self.bfloat16}".encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


class ViewCache:
    """Views of a list of pictures, each through the frozen trunk; made when missing.

    Raises:
        DatasetError: A picture cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        photographs: Sequence[Path],
        trunk: FrozenTrunk,
        settings: ViewSettings,
        views: int,
        progress: Progress,
    ) -> None:
        self._photographs = photographs
        self._trunk = trunk
        self._settings = settings
        self._progress = progress
        self.fingerprint = pictures_key(f"{trunk.fingerprint()} {settings}", photographs)
        folder = folder / self.fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        self._views = [self._open(folder / f"{view}.npy", view) for view in range(views)]

    @property
    def views(self) -> int:
        """How many views each picture has."""
        return len(self._views)

    def load(self, images: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> Tensor:
        """One view of each of some images, (n, channels, height, width)."""
        rows = [self._views[view][image] for image, view in zip(images, views, strict=True)]
        return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)

    def _open(self, path: Path, view: int) -> npt.NDArray[np.floating]:
        if not path.is_file():
            self._make(path, view)
        array: npt.NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    def _make(self, path: Path, view: int) -> None:
        # Renamed when it is whole: what an interrupted run leaves is never read.
        part = path.with_suffix(".part")
        array: npt.NDArray[np.floating] | None = None
        total = len(self._photographs)
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="views") as pool:
            for start in range(0, total, _BATCH):
                numbers = range(start, min(start + _BATCH, total))
                images = np.stack(list(pool.map(partial(self._draw, view=view), numbers)))
                maps = self._trunk(images)
                if array is None:
                    shape = (total, *maps.shape[1:])
                    array = np.lib.format.open_memmap(part, "w+", maps.dtype, shape)
                array[start : start + len(maps)] = maps
                self._progress(f"view {view + 1}", numbers.stop, total)
        assert array is not None
        array.flush()  # type: ignore[attr-defined]
        part.replace(path)

    def _draw(self, number: int, view: int) -> npt.NDArray[np.uint8]:
        path, settings = self._photographs[number], self._settings
        size = settings.input_size
        try:
            if view == 0:
                return decode(path, (size, size)).pixels
            rng = random.Random(f"{settings.seed} {view} {path.name}")
            picture = open_picture(path)
        except PictureError as exc:
            raise DatasetError(f"{path}: {exc}") from exc
        return random_view(picture, size, rng, min_area=settings.min_area, jitter=settings.jitter)


class FeatureTable:
    """Ready-made region features: one view of each image, nothing to compute."""

    views = 1

    def __init__(self, features: npt.NDArray[np.floating]) -> None:
        self._features = features

    @property
    def fingerprint(self) -> str:
        """Of the shape and of the first and the last image: the whole may be gigabytes."""
        digest = hashlib.sha256(repr(self._features.shape).encode())
        for image in (self._features[0], self._features[-1]):
            digest.update(image.tobytes())
        return digest.hexdigest()

    def load(self, images: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> Tensor:
        """Features (n, K, C) of some images, float32."""
        return torch.from_numpy(np.asarray(self._features[images], np.float32))


def pictures_key(treatment: str, photographs: Sequence[Path]) -> str:
    """A name for what ``treatment`` makes of pictures; changes with each picture's file."""
    digest = hashlib.sha256(treatment.encode())
    for path in photographs:
        status = path.stat()
        identity = [str(path.resolve()), status.st_size, status.st_mtime_ns]
        digest.update(json.dumps(identity).encode())
    return digest.hexdigest()[:20]
