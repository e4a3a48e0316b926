"""What a device does for a detector: images in, features of regions out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from refine_itr.types import FloatArray


@dataclass(frozen=True)
class GraphShape:
    """What a detector's graph takes and gives.

    Attributes:
        input_size: S: ``images`` are uint8 (n, S, S, 3), RGB.
        regions: K.
        features: C: ``regions`` are float32 (n, K, C).
    """

    input_size: int
    regions: int
    features: int


class Backend(Protocol):
    """One detector's graph on one device."""

    @property
    def device(self) -> str:
        """Where it runs."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Batch sizes that the device takes, ascending; none means any."""

    @property
    def providers(self) -> list[str]:
        """What runs it, as its runtime says."""

    def run(self, images: npt.NDArray[np.uint8]) -> FloatArray:
        """Returns float32 (n, K, C) of images uint8 (n, S, S, 3), n of at least 1.

        Raises:
            DetectorError: It failed; ``DeviceError`` if the device is to blame.
        """

    def close(self) -> None:
        """Gives the device back; any number of times, from any thread."""
