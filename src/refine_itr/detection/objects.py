"""Detectors that find objects: their best boxes are the regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from refine_itr import _core
from refine_itr.bundle import ObjectDetectorConfig
from refine_itr.detection.candidates import Candidates, CandidateSource
from refine_itr.detection.canvas import Canvas, to_original
from refine_itr.detection.graph import Graph
from refine_itr.errors import InvalidInputError
from refine_itr.types import Picture, PictureSize, Regions

_MOST_AT_ONCE = 8  # pictures, where the graphs take any number: their maps are large


class ObjectDetector:
    """Graphs that give scored boxes with features, and the choice of the best ones.

    The choice is that of bottom-up attention: suppression for each class by itself, then the
    boxes with the best class scores, best first (``_core.select_regions``).

    Args:
        source: The graphs on their device.
        config: How to feed and read them.
        features: C.
    """

    def __init__(
        self, source: CandidateSource, config: ObjectDetectorConfig, features: int
    ) -> None:
        self._source = source
        self._config = config
        self._features = features
        self._picture_size = Canvas(config.pixels).picture_size

    @property
    def backend(self) -> Graph:
        """The graph that sees the pixels, on its device."""
        return self._source.graphs[0]

    @property
    def picture_size(self) -> PictureSize:
        """The size to which pictures are resized before they come."""
        return self._picture_size

    @property
    def sizes(self) -> tuple[int, ...]:
        """None: any number of pictures may come."""
        return ()

    def detect(self, pictures: Sequence[Picture]) -> Regions:
        """Returns regions (n, K, C) and boxes (n, K, 4) of n pictures, best first.

        A picture with fewer than K boxes has its regions repeated.

        Raises:
            DetectorError: A graph failed, or gave NaN or infinity.
            InvalidInputError: The detector's number of regions is not fixed: use ``find``.
        """
        rule = self._config.selection
        k = rule.most
        if rule.least != k:
            raise InvalidInputError(
                f"selection: expected a fixed number of regions; got {rule.least} to {k}"
            )
        features = np.empty((len(pictures), k, self._features), np.float32)
        boxes = np.empty((len(pictures), k, 4), np.float32)
        for i, found in enumerate(self.find(pictures)):
            order = np.resize(np.arange(found.boxes.shape[1]), k)
            features[i], boxes[i] = found.features[0, order], found.boxes[0, order]
        return Regions(features, boxes)

    def find(self, pictures: Sequence[Picture]) -> list[Regions]:
        """Returns each picture's regions (1, k, C), k as the rule of selection has it.

        Raises:
            DetectorError: A graph failed, or gave NaN or infinity.
        """
        batch = self._source.batch
        found: list[Regions] = []
        for first in range(0, len(pictures), batch or _MOST_AT_ONCE):
            part = list(pictures[first : first + (batch or _MOST_AT_ONCE)])
            # A graph with a baked batch takes no fewer.
            filled = part + [part[-1]] * ((batch or len(part)) - len(part))
            candidates = self._source.find(filled)[: len(part)]
            found += [self._choose(*each) for each in zip(candidates, part, strict=True)]
        return found

    def close(self) -> None:
        """Gives the device back."""
        for graph in self._source.graphs:
            graph.close()

    def _choose(self, candidates: Candidates, picture: Picture) -> Regions:
        order = self._order(candidates)
        boxes = to_original(candidates.boxes[order], picture)
        return Regions(candidates.features[order][None], boxes[None])

    def _order(self, candidates: Candidates) -> npt.NDArray[np.int64]:
        rule, scores = self._config.selection, candidates.scores
        if rule.background >= 0:
            scores = np.delete(scores, rule.background, axis=1)
        return _core.select_regions(
            np.ascontiguousarray(candidates.boxes),
            np.ascontiguousarray(scores),
            rule.most,
            least=rule.least,
            iou_threshold=rule.iou,
            score_threshold=rule.min_score,
            keep_threshold=rule.keep_score,
            inclusive=rule.inclusive,
        )
