"""How well a model retrieves, and what its scores mean: on captioned images, both directions."""

from refine_itr.evaluation.calibrate import EmbeddedPairs, calibrate, make_bank
from refine_itr.evaluation.captions import CaptionSet, read_captions
from refine_itr.evaluation.evaluate import evaluate
from refine_itr.evaluation.protocol import PROTOCOLS, Protocol, measure_protocol
from refine_itr.evaluation.recall import Recalls, measure_recalls
from refine_itr.evaluation.reliability import Reliability

__all__ = [
    "PROTOCOLS",
    "CaptionSet",
    "EmbeddedPairs",
    "Protocol",
    "Recalls",
    "Reliability",
    "calibrate",
    "evaluate",
    "make_bank",
    "measure_protocol",
    "measure_recalls",
    "read_captions",
]
