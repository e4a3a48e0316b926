"""Moves batches through stages and knows nothing of models: stages are callables."""

from refine_itr.pipeline.stream import EmbeddedBatch, embed_stream

__all__ = ["EmbeddedBatch", "embed_stream"]
