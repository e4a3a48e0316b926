"""Moves batches through stages and knows nothing of models: stages are callables."""

from refine_itr.pipeline.pipeline import Overflow, Pipeline
from refine_itr.pipeline.stage import BatchFunction, BatchRecord, Outcome, Stage, StageStats

__all__ = [
    "BatchFunction",
    "BatchRecord",
    "Outcome",
    "Overflow",
    "Pipeline",
    "Stage",
    "StageStats",
]
