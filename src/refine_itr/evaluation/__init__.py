"""How well a model retrieves: recall at K in both directions on captioned images."""

from refine_itr.evaluation.captions import CaptionSet, read_captions
from refine_itr.evaluation.evaluate import evaluate
from refine_itr.evaluation.protocol import PROTOCOLS, Protocol, measure_protocol
from refine_itr.evaluation.recall import Recalls, measure_recalls

__all__ = [
    "PROTOCOLS",
    "CaptionSet",
    "Protocol",
    "Recalls",
    "evaluate",
    "measure_protocol",
    "measure_recalls",
    "read_captions",
]
