"""What a bundle knows of its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refine_itr.scoring.bank import QueryBank
from refine_itr.scoring.relevance import Relevance
from refine_itr.types import Kind


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model's own bank of queries, and relevances that were fitted to scores corrected by it.

    Attributes:
        bank: The bank.
        relevance: By what is found: "images" for a sentence that finds photographs, "texts" for
            a photograph that finds sentences.
    """

    bank: QueryBank
    relevance: Mapping[Kind, Relevance]
