"""Whether relevance means what it says: of the hits at 0.7, seven in ten should fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

_EDGES = np.arange(11) / 10
_LEAST = (0.1, 0.2, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Bin:
    """Hits whose relevance lies from ``low`` to below ``high``.

    Attributes:
        low: From.
        high: To.
        hits: How many.
        relevance: Their mean relevance.
        fits: The share that fits, 0 to 1.
    """

    low: float
    high: float
    hits: int
    relevance: float
    fits: float


@dataclass(frozen=True)
class Cut:
    """What a least relevance leaves.

    Attributes:
        min_relevance: The least relevance.
        hits: How many hits are left.
        fits: The share of them that fits, 0 to 1; None where nothing is left.
        present: The share of queries with a hit left, of those that something fits, 0 to 1.
        absent: The same of those that nothing fits.
    """

    min_relevance: float
    hits: int
    fits: float | None
    present: float
    absent: float


@dataclass(frozen=True)
class Judged:
    """Hits of queries.

    Attributes:
        relevances: float64 (q, k).
        fits: (q, k): whether each of them fits.
        present: Whether something in the gallery fits the queries.
    """

    relevances: npt.NDArray[np.float64]
    fits: npt.NDArray[np.bool_]
    present: bool


@dataclass(frozen=True)
class Reliability:
    """The reliability of relevance over many queries.

    Attributes:
        bins: Tenths of relevance that have hits.
        cuts: What several least relevances leave.
    """

    bins: tuple[Bin, ...]
    cuts: tuple[Cut, ...]

    @classmethod
    def of(cls, judged: Sequence[Judged]) -> Reliability:
        """Returns the reliability of all these hits together."""
        relevances = np.concatenate([j.relevances.ravel() for j in judged])
        fits = np.concatenate([j.fits.ravel() for j in judged])
        tenth = np.clip(np.digitize(relevances, _EDGES) - 1, 0, len(_EDGES) - 2)
        bins = [_bin(t, relevances[tenth == t], fits[tenth == t]) for t in np.unique(tenth)]
        cuts = []
        for least in _LEAST:
            left = relevances >= least
            share = float(fits[left].mean()) if left.any() else None
            shown = (_shown(judged, least, present) for present in (True, False))
            cuts.append(Cut(least, int(left.sum()), share, *shown))
        return cls(tuple(bins), tuple(cuts))

    def to_json(self) -> dict[str, object]:
        """Returns the curve and the cuts for ``--json``."""
        return asdict(self)


def _bin(tenth: int, relevances: npt.NDArray[np.float64], fits: npt.NDArray[np.bool_]) -> Bin:
    low, high = (round(float(edge), 1) for edge in _EDGES[tenth : tenth + 2])
    return Bin(low, high, len(fits), float(relevances.mean()), float(fits.mean()))


def _shown(judged: Sequence[Judged], least: float, present: bool) -> float:
    """Returns the share of queries of one sort with a hit left; 0 if there are none."""
    shown = [(j.relevances >= least).any(axis=1) for j in judged if j.present == present]
    return float(np.concatenate(shown).mean()) if shown else 0.0
