"""From inner products to scores people can use: correction of hubs, and relevance."""

from refine_itr.scoring.bank import QueryBank
from refine_itr.scoring.calibration import Calibration
from refine_itr.scoring.relevance import Relevance

__all__ = ["Calibration", "QueryBank", "Relevance"]
