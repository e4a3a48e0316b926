"""Embeddings of a whole split, and recall on it, in full precision."""

from __future__ import annotations

import numpy as np
import torch

from refine_itr.evaluation import Recalls, measure_recalls
from refine_itr.training.batches import IntArray, TokenTable, ViewSource
from refine_itr.training.data import Split
from refine_itr.training.learner import Learner
from refine_itr.types import FloatArray

_IMAGES = 64
_SENTENCES = 512


@torch.no_grad()
def embed_images(learner: Learner, source: ViewSource, n: int) -> FloatArray:
    """Unit embeddings (n, D) of the images themselves (view 0)."""
    learner.eval()
    parts = []
    for start in range(0, n, _IMAGES):
        rows: IntArray = np.arange(start, min(start + _IMAGES, n))
        regions = learner.regions(source.load(rows, np.zeros_like(rows)))
        parts.append(learner.encoders.image(regions).numpy())
    return np.concatenate(parts)


@torch.no_grad()
def embed_sentences(learner: Learner, tokens: TokenTable) -> FloatArray:
    """Unit embeddings (m, D) of all sentences."""
    learner.eval()
    out = np.empty((len(tokens), learner.config.dim), np.float32)
    for start in range(0, len(tokens), _SENTENCES):
        rows: IntArray = np.arange(start, min(start + _SENTENCES, len(tokens)))
        out[rows] = learner.encoders.text(*tokens.load(rows)).numpy()
    return out


def recalls(learner: Learner, split: Split, source: ViewSource, tokens: TokenTable) -> Recalls:
    """Recall of a learner on a split."""
    images = embed_images(learner, source, split.images)
    return measure_recalls(images, embed_sentences(learner, tokens), split.owner)
