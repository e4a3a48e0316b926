"""How well a model retrieves: recall at K in both directions."""

from refine_itr.evaluation.recall import Recalls, measure_recalls

__all__ = ["Recalls", "measure_recalls"]
