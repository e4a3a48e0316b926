"""How queries of one kind are compared with items of one kind: plainly, or with hubs corrected.

With a bank of queries items have D + 1 columns, the last one their offset, and a query's last
element is 1: one inner product gives score plus offset. Between two of a kind, photographs that
look alike, it is 0: a bank tells nothing of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np
import numpy.typing as npt

from refine_itr._core import NarrowGallery
from refine_itr.errors import InvalidInputError
from refine_itr.index.matching import BoolArray, IdArray, top_k
from refine_itr.model import Model
from refine_itr.scoring import QueryBank, Relevance
from refine_itr.types import FloatArray, Hit, Kind

_NAMES: dict[Kind, str] = {"images": "photographs", "texts": "sentences"}


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best items for one query.

    Attributes:
        scores: float32 (k,), descending.
        rows: int64 (k,): the items.
        relevances: float64 (k,), or None where nothing is known.
    """

    scores: FloatArray
    rows: IdArray
    relevances: npt.NDArray[np.float64] | None

    def hits(
        self,
        item: Callable[[int], object],
        number: Callable[[int], int],
        min_relevance: float | None,
    ) -> list[Hit]:
        """Returns the hits: a row's item, its number, and only what is relevant enough."""
        relevances = (
            [None] * len(self.rows) if self.relevances is None else self.relevances.tolist()
        )
        ranked = zip(self.scores.tolist(), self.rows.tolist(), relevances, strict=True)
        return [
            Hit(rank, score, item(row), number(row), relevance)
            for rank, (score, row, relevance) in enumerate(ranked, start=1)
            if min_relevance is None or (relevance is not None and relevance >= min_relevance)
        ]


@dataclass(frozen=True, eq=False)
class Scorer:
    """Compares queries with items.

    Attributes:
        asked: What the queries are.
        found: What the items are.
        bank: Corrects the items' hubs; None: nothing does.
        relevance: Of a corrected score; None: it was not fitted, or with another bank.
        threads: 0 means all cores.
    """

    asked: Kind
    found: Kind
    bank: QueryBank | None
    relevance: Relevance | None
    threads: int

    @classmethod
    def of(cls, model: Model, bank: QueryBank | None, asked: Kind, found: Kind) -> Scorer:
        """Returns the scorer of a model's embeddings; relevance is known with its own bank."""
        own = model.calibration
        known = own is not None and bank is not None and own.bank.fingerprint == bank.fingerprint
        relevance = own.relevance.get(found) if own and known and asked != found else None
        return cls(asked, found, bank, relevance, model.threads)

    def check(self, min_relevance: float | None) -> None:
        """Checks the least relevance that is asked for.

        Raises:
            InvalidInputError: It is not from 0 to 1, or relevance is not known here.
        """
        if min_relevance is None:
            return
        if not (isinstance(min_relevance, Real) and 0 <= min_relevance <= 1):
            raise InvalidInputError(f"min_relevance: expected 0 to 1, got {min_relevance!r}")
        if self.relevance is None:
            raise InvalidInputError(
                f"min_relevance: expected the query bank of a calibrated model, and "
                f"{_other(self.found)} to find {_NAMES[self.found]}; got {self._situation()}"
            )

    def rank(
        self,
        queries: FloatArray,
        items: FloatArray,
        k: int,
        threads: int,
        *,
        narrow: NarrowGallery | None = None,
        allowed: BoolArray | None = None,
    ) -> list[Ranking]:
        """Returns the best items of each query.

        Args:
            queries: float32 (q, D).
            items: What ``gallery_rows`` returned.
            k: How many; k larger than n, or than the number of allowed items, gives these.
            threads: 0 means all cores.
            narrow: The items' ``narrow_gallery``: the same result, with less memory to read.
            allowed: bool (n,), the items that may be found; None allows all.
        """
        scores, rows = self.top_k(queries, items, k, threads, narrow=narrow, allowed=allowed)
        if self.relevance is None:
            return [Ranking(*found, None) for found in zip(scores, rows, strict=True)]
        assert self.bank is not None  # relevance is of corrected scores
        expected = -self.bank.offsets(queries, self.asked, threads)
        count = len(items) if allowed is None else int(np.count_nonzero(allowed))
        relevances = self.relevance(scores, expected[:, None], count)
        return [Ranking(*found) for found in zip(scores, rows, relevances, strict=True)]

    def top_k(
        self,
        queries: FloatArray,
        items: FloatArray,
        k: int,
        threads: int,
        *,
        narrow: NarrowGallery | None = None,
        allowed: BoolArray | None = None,
    ) -> tuple[FloatArray, IdArray]:
        """Returns scores, float32 (q, k), and rows, int64 (q, k); arguments as for ``rank``."""
        return top_k(self._extended(queries), items, k, threads, narrow=narrow, allowed=allowed)

    def _extended(self, queries: FloatArray) -> FloatArray:
        if self.bank is None:
            return queries
        weight = np.float32(self.asked != self.found)
        return np.pad(queries, ((0, 0), (0, 1)), constant_values=weight)

    def _situation(self) -> str:
        if self.asked == self.found:
            return f"{_NAMES[self.asked]} that find {_NAMES[self.found]}"
        if self.bank is None:
            return "no query bank: Index.set_query_bank('model') sets it"
        return "a bank that the model was not calibrated with"


def bank_of(model: Model, bank: QueryBank | Literal["model"] | None) -> QueryBank | None:
    """Returns the bank that is meant.

    Raises:
        InvalidInputError: It is none, of other embeddings, or the model brings none.
    """
    if bank is None:
        return None
    if isinstance(bank, str) and bank == "model":
        if model.calibration is None:
            raise InvalidInputError(
                "query bank: expected a model that brings one; make it with refine-itr calibrate"
            )
        return model.calibration.bank
    if not isinstance(bank, QueryBank):
        raise InvalidInputError(f"query bank: expected a QueryBank, 'model' or None; got {bank!r}")
    if bank.dim != model.dim:
        raise InvalidInputError(
            f"query bank: expected embeddings of length {model.dim}, the model's; got {bank.dim}"
        )
    return bank


def gallery_rows(
    bank: QueryBank | None, embeddings: FloatArray, kind: Kind, threads: int
) -> FloatArray:
    """Returns items as they are compared.

    Args:
        bank: Corrects hubs, or None.
        embeddings: float32 (n, D).
        kind: What the items are.
        threads: 0 means all cores.

    Returns:
        float32, C-contiguous: (n, D) without a bank, with one (n, D + 1).
    """
    if bank is None:
        return np.ascontiguousarray(embeddings)
    offsets = bank.offsets(embeddings, kind, threads)
    return np.concatenate([embeddings, offsets[:, None]], axis=1)


def _other(kind: Kind) -> str:
    return _NAMES["texts" if kind == "images" else "images"]
