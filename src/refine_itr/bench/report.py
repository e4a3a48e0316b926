"""Rows of a comparison: our time, every peer's, and what the machine allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from refine_itr.bench.timing import Times
from refine_itr.types import Precision

OURS = "ours"

Baseline = Literal["as-written", "folded"]


@dataclass(frozen=True)
class Work:
    """What is compared.

    Attributes:
        stage: What is computed.
        shape: Sizes by name: dim, batch, queries, ...
        precision: Of our arithmetic; a peer's name has its own.
        baseline: Whether the peers got the paper's equation or our folded graph.
        per: Items of a call; times are divided by it.
        item: What the times are of, e.g. "an image".
    """

    stage: str
    shape: Mapping[str, int]
    precision: Precision
    baseline: Baseline
    per: int
    item: str


@dataclass(frozen=True)
class Row:
    """One interleaved run of our code and all peers on the same work.

    Attributes:
        work: What was computed.
        times: Of each call, by library.
        limit_ms: The least time for one item on this machine.
    """

    work: Work
    times: Mapping[str, Times]
    limit_ms: float

    def min_ms(self, name: str) -> float:
        """Returns the fastest call of a library, for one item."""
        return self.times[name].min_ms / self.work.per

    def median_ms(self, name: str) -> float:
        """Returns the median call of a library, for one item."""
        return self.times[name].median_ms / self.work.per

    @property
    def ours_ms(self) -> float:
        """Our fastest call, for one item."""
        return self.min_ms(OURS)

    @property
    def peers(self) -> dict[str, float]:
        """The fastest call of each peer, for one item; the fastest peer first."""
        found = {name: self.min_ms(name) for name in self.times if name != OURS}
        return dict(sorted(found.items(), key=lambda item: item[1]))

    @property
    def fastest(self) -> str | None:
        """The fastest peer; None if there is none."""
        return next(iter(self.peers), None)

    @property
    def ratio(self) -> float | None:
        """The fastest peer's time over ours: above 1, ours is faster."""
        return self.peers[self.fastest] / self.ours_ms if self.fastest else None

    @property
    def fraction_of_limit(self) -> float:
        """The limit's time over ours: 1 is all that the machine can do."""
        return self.limit_ms / self.ours_ms

    def to_json(self) -> dict[str, object]:
        """Returns the row as ``--json`` prints it."""
        peer = self.fastest
        return {
            "stage": self.work.stage,
            **self.work.shape,
            "precision": self.work.precision,
            "baseline": self.work.baseline,
            "ours_ms": self.ours_ms,
            "ours_median_ms": self.median_ms(OURS),
            "peer": peer,
            "peer_ms": self.peers[peer] if peer else None,
            "peer_median_ms": self.median_ms(peer) if peer else None,
            "ratio": self.ratio,
            "fraction_of_limit": self.fraction_of_limit,
            "limit_ms": self.limit_ms,
            "peers": self.peers,
            "peer_medians": {name: self.median_ms(name) for name in self.peers},
        }
