"""Random changes that leave a picture's and a sentence's meaning: more data out of the same."""

from __future__ import annotations

import math
import random

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from refine_itr.training.vocabulary import END_ID, UNKNOWN_ID

_ASPECTS = (3 / 4, 4 / 3)


def random_view(
    picture: Image.Image, size: int, rng: random.Random, *, min_area: float, jitter: float
) -> npt.NDArray[np.uint8]:
    """A random crop squashed to (size, size, 3), flipped half of the time, colours changed."""
    box = _random_box(picture.size, rng, min_area)
    view = picture.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if rng.random() < 0.5:
            view = enhancer(view).enhance(rng.uniform(1 - jitter, 1 + jitter))
    return np.asarray(view)


def _random_box(
    size: tuple[int, int], rng: random.Random, min_area: float
) -> tuple[float, float, float, float]:
    area = rng.uniform(min_area, 1.0)
    aspect = math.exp(rng.uniform(math.log(_ASPECTS[0]), math.log(_ASPECTS[1])))
    width = size[0] * min(1.0, math.sqrt(area * aspect))
    height = size[1] * min(1.0, math.sqrt(area / aspect))
    left, top = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return left, top, left + width, top + height


def drop_words(tokens: Tensor, share: float) -> Tensor:
    """Makes a random ``share`` of the words (not <pad>, <start>, <end>) unknown."""
    dropped = (torch.rand(tokens.shape) < share) & (tokens > END_ID)
    return tokens.masked_fill(dropped, UNKNOWN_ID)


def keep_regions(n: int, regions: int, share_dropped: float) -> Tensor:
    """A mask (n, regions): zero for a random ``share_dropped`` of the regions, else one."""
    return (torch.rand(n, regions) >= share_dropped).float()
