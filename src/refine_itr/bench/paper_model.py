"""The paper's image encoder with random weights: the same work as with trained ones."""

from __future__ import annotations

import numpy as np

from refine_itr.bundle import BundleConfig, DetectorConfig, ImageConfig, TextConfig
from refine_itr.bundle.schema import expected_weights
from refine_itr.encoding import ImageEncoder
from refine_itr.types import FloatArray

REGIONS, FEATURES = 36, 2048


def paper_encoder(dim: int, threads: int, seed: int = 0) -> ImageEncoder:
    """Returns fc 2048 -> D, four Light-GCN layers and a GRU over 36 regions."""
    config = BundleConfig(
        dim=dim,
        image=ImageConfig(
            regions=REGIONS,
            features=FEATURES,
            graph="light-gcn",
            layers=4,
            scale_affinity=True,
            batch_norm=True,
            normalize_projection=False,
            norm_axis="region",
            pooling="gru",
            pool_top=1,
            embedding_batch_norm=False,
        ),
        text=TextConfig(vocabulary=1, word_dim=1, pooling="last"),
        detector=DetectorConfig(kind="grid", input_size=256, grid=6),
    )
    rng = np.random.default_rng(seed)
    weights = {
        name: _random(rng, shape)
        for name, shape in expected_weights(config).items()
        if name.startswith("image.")
    }
    return ImageEncoder(config, weights, threads)


def random_regions(count: int, seed: int = 0) -> FloatArray:
    """Returns float32 (count, 36, 2048), not negative, as a detector's pooled features are."""
    values = np.random.default_rng(seed).random((count, REGIONS, FEATURES), np.float32)
    positive: FloatArray = np.maximum(values - np.float32(0.5), 0)
    return positive


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    if len(shape) == 1:  # biases, and a BatchNorm's four vectors: its variance must be positive
        return np.full(shape, 0.1, np.float32)
    weight: FloatArray = rng.standard_normal(shape, np.float32) / np.float32(shape[1] ** 0.5)
    return weight
