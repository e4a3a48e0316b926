"""Multiply-adds of the encoders, as written and folded."""

from __future__ import annotations

from refine_itr.bench.report import Baseline
from refine_itr.bundle import ImageConfig

_PRODUCTS = {  # D x D products of a region in one layer
    ("light-gcn", "as-written"): 2,
    ("light-gcn", "folded"): 1,
    ("vsrn-gcn", "as-written"): 4,
    ("vsrn-gcn", "folded"): 2,
}


def image_multiply_adds(image: ImageConfig, dim: int, baseline: Baseline) -> int:
    """Returns the multiply-adds of one image: fc, graph layers and GRU."""
    fc = image.regions * image.features * dim
    layers = image.layers * layer_multiply_adds(image, dim, baseline)
    return fc + layers + gru_multiply_adds(image.regions, dim)


def layer_multiply_adds(image: ImageConfig, dim: int, baseline: Baseline) -> int:
    """Returns those of one graph layer for one image."""
    k = image.regions
    relation = 2 * k * k * dim + (k**3 if image.graph == "light-gcn" else 0)
    return _PRODUCTS[image.graph, baseline] * k * dim * dim + relation


def gru_multiply_adds(regions: int, dim: int) -> int:
    """Returns those of a GRU D -> D over so many regions."""
    return 6 * regions * dim * dim


def text_multiply_adds(words: int, word_dim: int, dim: int, baseline: Baseline) -> int:
    """Returns the multiply-adds of so many words; folded, a word's gate inputs are looked up."""
    projected = word_dim if baseline == "as-written" else 0
    return words * 3 * dim * (dim + projected)
