"""Regions to embeddings: folds and packs the weights, then one native call a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refine_itr import _core
from refine_itr.bundle import BundleConfig, ImageConfig
from refine_itr.encoding.folding import fold_affinity, fold_projection, scale_and_shift
from refine_itr.types import FloatArray, Precision
from refine_itr.workspace import ThreadWorkspace

_Weights = Mapping[str, FloatArray]


class ImageEncoder:
    """The image side of a model without its convolutions, folded and packed.

    Args:
        config: The architecture.
        weights: As trained, by name.
        threads: Threads of a call that does not say otherwise.
        precision: Of the products with weights.
    """

    def __init__(
        self,
        config: BundleConfig,
        weights: _Weights,
        threads: int,
        precision: Precision = "fp32",
    ) -> None:
        image = config.image
        self._dim = config.dim
        self._threads = threads
        self._native = _core.ImageEncoder(
            _packed(weights, precision, "image.fc.weight", "image.fc.bias"),
            [
                _graph_layer(image, weights, f"image.graph.{i}", precision)
                for i in range(image.layers)
            ],
            norm_axis=image.norm_axis,  # type: ignore[arg-type]  # the configuration is checked
            normalize_projection=image.normalize_projection,
            pooling=image.pooling,  # type: ignore[arg-type]
            pool_top=image.pool_top,
            pool_coefficients=weights.get("image.gpo.coefficients"),
            **_gru(image, weights, precision),
            **_embedding_batch_norm(image, weights),
        )
        self._workspace = ThreadWorkspace()

    def encode(self, regions: FloatArray, threads: int | None = None) -> FloatArray:
        """Returns float32 (n, D), unit norm, of regions (n, K, C).

        Args:
            regions: float32, C-contiguous.
            threads: Threads of this call; None: as the encoder was made for.
        """
        out = np.empty((len(regions), self._dim), np.float32)
        used = self._threads if threads is None else threads
        self._native.encode(regions, out, self._workspace.get(), threads=used)
        return out


def _graph_layer(
    image: ImageConfig, weights: _Weights, name: str, precision: Precision
) -> _core.GraphLayer:
    scale = 1.0 / image.regions if image.scale_affinity else 1.0
    projection = fold_projection(weights, name, image.batch_norm)
    f = _core.PackedMatrix(projection.weight, projection.bias, precision)
    if image.graph == "light-gcn":
        sigma = weights[f"{name}.sigma"] * np.float32(scale)
        return _core.LightGcnLayer(sigma, f, projection.row_bias)
    affinity = fold_affinity(weights, name)
    m_t = np.ascontiguousarray(affinity.m.T)  # x W^T is what it computes
    m = _core.PackedMatrix(m_t, None, precision)
    return _core.VsrnGcnLayer(m, affinity.u, affinity.w, affinity.c, scale, f, projection.row_bias)


def _gru(image: ImageConfig, weights: _Weights, precision: Precision) -> dict[str, Any]:
    if image.pooling != "gru":
        return {}
    hidden, bias = weights["image.gru.weight_hh"], weights["image.gru.bias_hh"]
    return {
        "w_ih": _packed(weights, precision, "image.gru.weight_ih", "image.gru.bias_ih"),
        "w_hh": _core.PackedGates(hidden, bias, precision),
    }


def _embedding_batch_norm(image: ImageConfig, weights: _Weights) -> dict[str, Any]:
    if not image.embedding_batch_norm:
        return {}
    scale, shift = scale_and_shift(weights, "image.bn")
    return {
        "embedding_scale": scale.astype(np.float32),
        "embedding_shift": shift.astype(np.float32),
    }


def _packed(weights: _Weights, precision: Precision, weight: str, bias: str) -> _core.PackedMatrix:
    return _core.PackedMatrix(weights[weight], weights[bias], precision)
