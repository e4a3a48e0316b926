"""The paper's own rows: Flickr30K, Faster R-CNN regions, an AMD EPYC 7702, 30 epochs."""

from __future__ import annotations

from dataclasses import dataclass

from refine_itr.reproduction.settings import LIGHT, VSRN

SPEED_RATIO = 1.6
"""Table 1: 44.6 ms against 27.8 ms."""

ONE_POINT = 1.0
"""How far Light-GCN's mean recall may fall behind for "almost equal"."""

SPEED_TOLERANCE = 0.1
"""Share of ``SPEED_RATIO`` that "about" leaves."""


@dataclass(frozen=True)
class PublishedRow:
    """A row as printed.

    Attributes:
        graph: Kind of the graph layers.
        dim: D.
        i2t: Image to text, recall at 1, 5 and 10 in percent.
        t2i: Text to image.
        encode_ms: Table 1's "image relationship reasoning time", Table 3's "encode-time".
        weights_mib: Table 3's "weights (MB)"; None in Table 1. These are the whole VSRN state in
            MiB, theta and phi included, which a Light-GCN does not have.
    """

    graph: str
    dim: int
    i2t: tuple[float, float, float]
    t2i: tuple[float, float, float]
    encode_ms: float
    weights_mib: float | None = None

    @property
    def rsum(self) -> float:
        """The six recalls added up."""
        return sum(self.i2t) + sum(self.t2i)

    def to_json(self) -> dict[str, object]:
        """Returns the row for ``--json``."""
        return {**vars(self), "rsum": round(self.rsum, 2)}


TABLE1 = (
    PublishedRow(VSRN, 2048, (71.3, 90.6, 96.0), (54.7, 81.8, 88.2), 44.6),
    PublishedRow(LIGHT, 2048, (71.6, 91.3, 95.7), (53.5, 79.8, 87.0), 27.8),
)
TABLE3 = (
    PublishedRow(LIGHT, 2048, (71.6, 91.3, 95.7), (53.5, 79.8, 87.0), 48.4, 433.2),
    PublishedRow(LIGHT, 1024, (68.8, 88.5, 93.9), (50.3, 76.8, 84.8), 13.1, 121.5),
    PublishedRow(LIGHT, 512, (64.5, 88.3, 93.1), (47.4, 75.3, 83.3), 6.1, 40.6),
)
