"""The paper's encoders with random weights: the same work as with trained ones.

Without BatchNorm, which at inference folds into W_r for everybody. Each graph layer moves its
regions by some tenths of their length: more, and four layers that are cubic in V would overflow;
less, and a wrong layer would go unnoticed.
"""

from __future__ import annotations

import numpy as np

from refine_itr.bundle import BundleConfig, DetectorConfig, ImageConfig, TextConfig
from refine_itr.bundle.schema import expected_weights
from refine_itr.encoding import ImageEncoder
from refine_itr.types import FloatArray

REGIONS, FEATURES, LAYERS = 36, 2048, 4
VOCABULARY, WORD_DIM = 8483, 300  # words of Flickr30K that occur four times or more

_SPREAD = (1 / 24) ** 0.5  # root mean square of `random_regions`


def paper_config(
    dim: int,
    graph: str = "light-gcn",
    *,
    regions: int = REGIONS,
    features: int = FEATURES,
    layers: int = LAYERS,
    vocabulary: int = VOCABULARY,
    batch_norm: bool = False,
) -> BundleConfig:
    """Returns fc C -> D, four graph layers and a GRU; words of 300 and a GRU."""
    image = ImageConfig(
        regions=regions,
        features=features,
        graph=graph,
        layers=layers,
        scale_affinity=True,
        batch_norm=batch_norm,
        normalize_projection=False,
        norm_axis="region",
        pooling="gru",
        pool_top=1,
        embedding_batch_norm=False,
    )
    text = TextConfig(vocabulary=vocabulary, word_dim=WORD_DIM, pooling="last")
    return BundleConfig(dim, image, text, DetectorConfig(kind="grid", input_size=256, grid=6))


def random_weights(config: BundleConfig, side: str, seed: int = 0) -> dict[str, FloatArray]:
    """Returns weights of one side, "image" or "text", by name."""
    rng = np.random.default_rng(seed)
    return {
        name: _random(rng, name, shape, config.dim)
        for name, shape in expected_weights(config).items()
        if name.startswith(f"{side}.")
    }


def paper_encoder(dim: int, threads: int, seed: int = 0) -> ImageEncoder:
    """Returns fc 2048 -> D, four Light-GCN layers and a GRU over 36 regions."""
    config = paper_config(dim)
    return ImageEncoder(config, random_weights(config, "image", seed), threads)


def random_regions(
    count: int, seed: int = 0, *, regions: int = REGIONS, features: int = FEATURES
) -> FloatArray:
    """Returns float32 (count, K, C), not negative, as a detector's pooled features are."""
    values = np.random.default_rng(seed).random((count, regions, features), np.float32)
    positive: FloatArray = np.maximum(values - np.float32(0.5), 0)
    return positive


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...], dim: int) -> FloatArray:
    scale = 0.05 if len(shape) == 1 else _scale(name, shape[1], dim)
    values: FloatArray = rng.standard_normal(shape, np.float32) * np.float32(scale)
    return values


def _scale(name: str, n_in: int, dim: int) -> float:
    unit: float = n_in**-0.5
    scales = {
        ".fc.": unit / _SPREAD,  # V gets elements near 1
        ".sigma": 0.2 / dim,  # V V^T is a sum of D squares
        ".theta.": 0.6 * unit * dim**-0.25,  # as is theta(V) phi(V)^T
        ".phi.": 0.6 * unit * dim**-0.25,
        ".gru.": 0.6 * unit,  # as much as PyTorch starts with
        ".embedding.": 0.06,  # as VSRN's U(-0.1, 0.1)
    }
    return next((scale for part, scale in scales.items() if part in name), unit)
