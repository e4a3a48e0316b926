"""Whether relevance means what it says: of the hits at 0.7, seven in ten should fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

_EDGES = np.linspace(0, 1, 11)
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
        queries: The share of queries with a hit left, 0 to 1.
    """

    min_relevance: float
    hits: int
    fits: float | None
    queries: float


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
    def of(cls, relevances: npt.NDArray[np.float64], fits: npt.NDArray[np.bool_]) -> Reliability:
        """Returns the reliability of hits.

        Args:
            relevances: (q, k): of the hits of q queries.
            fits: (q, k): whether each of them fits.
        """
        tenth = np.clip(np.digitize(relevances, _EDGES) - 1, 0, len(_EDGES) - 2)
        bins = [_bin(t, relevances[tenth == t], fits[tenth == t]) for t in np.unique(tenth)]
        return cls(tuple(bins), tuple(_cut(least, relevances, fits) for least in _LEAST))

    def to_json(self) -> dict[str, object]:
        """Returns the curve and the cuts for ``--json``."""
        return asdict(self)


def _bin(tenth: int, relevances: npt.NDArray[np.float64], fits: npt.NDArray[np.bool_]) -> Bin:
    low, high = (round(float(edge), 1) for edge in _EDGES[tenth : tenth + 2])
    return Bin(low, high, len(fits), float(relevances.mean()), float(fits.mean()))


def _cut(least: float, relevances: npt.NDArray[np.float64], fits: npt.NDArray[np.bool_]) -> Cut:
    left = relevances >= least
    share = float(fits[left].mean()) if left.any() else None
    return Cut(least, int(left.sum()), share, float(left.any(axis=1).mean()))
