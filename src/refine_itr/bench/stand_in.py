"""A stand-in for an accelerator that is not there: it takes the time and gives fixed features.

It waits instead of computing, so the CPU stays free for the other stages, as with a real card.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from refine_itr.bench.paper_model import random_regions
from refine_itr.types import FloatArray

DISTINCT = 16  # pictures' worth of features that are handed out in turn

_features = random_regions(DISTINCT)


def features_of(item: int) -> FloatArray:
    """Returns what a chip finds in picture number ``item``: float32 (36, 2048)."""
    found: FloatArray = _features[item % DISTINCT]
    return found


def stand_in_chips(
    count: int, seconds_per_image: float
) -> list[Callable[[list[Any]], Sequence[FloatArray]]]:
    """Returns the work of ``count`` chips that each take their time for one picture after another.

    Args:
        count: Number of chips.
        seconds_per_image: Time of one chip for one picture.
    """

    def detect(items: list[Any]) -> list[FloatArray]:
        time.sleep(seconds_per_image * len(items))
        return [features_of(item) for item in items]

    return [detect] * count
