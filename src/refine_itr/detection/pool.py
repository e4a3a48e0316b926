"""A model's detectors on their devices, and which of them are lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from refine_itr.detection.opening import Detector
from refine_itr.errors import DeviceError, NoDeviceLeftError
from refine_itr.types import Picture, PictureSize, Regions

_log = logging.getLogger("refine_itr")


class DetectorPool:
    """Detectors of which each has its device; one that is lost is not asked again.

    Any number of threads may call its methods at the same time.

    Args:
        detectors: All of one kind.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors = detectors
        self._members = [PoolMember(detector) for detector in detectors]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Batch sizes that the devices take, ascending; none means any."""
        return self.detectors[0].sizes if self.detectors else ()

    def working(self) -> list[PoolMember]:
        """Returns those that are not lost.

        Raises:
            NoDeviceLeftError: All are.
        """
        working = [member for member in self._members if member.lost is None]
        if not working:
            raise NoDeviceLeftError(
                f"detect: expected a working device; the last of {len(self._members)} is lost: "
                f"{self._members[-1].lost}"
            )
        return working

    def detect(self, pictures: Sequence[Picture]) -> Regions:
        """Runs pictures on the first device that works; one that is lost is told.

        Raises:
            DetectorError: The graph failed.
            NoDeviceLeftError: All devices are lost.
        """
        while True:
            member = self.working()[0]
            try:
                return member.detect(pictures)
            except DeviceError as exc:
                _log.warning("detect: a device is lost: %s", exc)

    def close(self) -> None:
        """Gives all devices back, also after one that fails to be; its error is raised then."""
        with ExitStack() as closing:
            for detector in self.detectors:
                closing.callback(detector.close)


class PoolMember:
    """One detector, which knows whether it is lost.

    Attributes:
        lost: Why; None while it works.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.lost: DeviceError | None = None

    @property
    def picture_size(self) -> PictureSize:
        """The size to which pictures are resized before they come."""
        return self._detector.picture_size

    def detect(self, pictures: Sequence[Picture]) -> Regions:
        """Returns the regions of the pictures; where a batch fails, by its halves.

        A batch may have been too large, e.g. for the device's memory: what cannot run a single
        picture is lost.

        Raises:
            DetectorError: The graph failed; ``DeviceError`` if the device is lost.
        """
        try:
            return self._detector.detect(pictures)
        except DeviceError as exc:
            if len(pictures) <= 1:
                self.lost = exc
                raise
        middle = len(pictures) // 2
        parts = [self.detect(pictures[:middle]), self.detect(pictures[middle:])]
        return Regions(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.boxes for part in parts]),
        )
