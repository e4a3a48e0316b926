"""The paper's image encoder through our kernels as its equations are written, nothing folded.

Only BatchNorm is part of W_r, as any runtime does it. The folded form is the shipped
``refine_itr.encoding.ImageEncoder``; both give the same embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refine_itr import _core
from refine_itr.bundle import BundleConfig, ImageConfig
from refine_itr.encoding.folding import scale_and_shift
from refine_itr.types import FloatArray

_Weights = Mapping[str, FloatArray]
_Layer = Callable[[FloatArray, FloatArray], None]


class AsWrittenEncoder:
    """fc, graph layers, l2norm, GRU, BatchNorm, l2norm: one native call each.

    Args:
        config: Of a bundle with pooling "gru" and without ``normalize_projection``.
        weights: As trained, by name.
        threads: Threads of a call.
    """

    def __init__(self, config: BundleConfig, weights: _Weights, threads: int) -> None:
        image = config.image
        self._config = config
        self._threads = threads
        self._workspace = _core.Workspace()
        self._fc = _packed(weights, "image.fc.weight", "image.fc.bias")
        self._layers = [
            self._layer(image, weights, f"image.graph.{index}") for index in range(image.layers)
        ]
        self._w_ih = _packed(weights, "image.gru.weight_ih", "image.gru.bias_ih")
        self._w_hh = _core.PackedGates(weights["image.gru.weight_hh"], weights["image.gru.bias_hh"])
        self._scale, self._shift = np.float32(1.0), np.float32(0.0)
        if image.embedding_batch_norm:
            scale, shift = scale_and_shift(weights, "image.bn")
            self._scale, self._shift = scale.astype(np.float32), shift.astype(np.float32)

    def encode(self, regions: FloatArray) -> FloatArray:
        """Returns float32 (n, D), unit norm, of regions (n, K, C)."""
        n, k, _ = regions.shape
        dim, threads = self._config.dim, self._threads
        v, out = (np.empty((n, k, dim), np.float32) for _ in range(2))
        self._linear(regions.reshape(n * k, -1), self._fc, v.reshape(n * k, dim))
        for layer in self._layers:
            layer(v, out)
            v, out = out, v
        if self._config.image.norm_axis != "none":
            _core.l2norm(v, self._config.image.norm_axis, v, threads=threads)  # type: ignore[arg-type]
        gates = np.empty((n * k, 3 * dim), np.float32)
        self._linear(v.reshape(n * k, dim), self._w_ih, gates)
        embeddings = np.empty((n, dim), np.float32)
        offsets = np.arange(n + 1, dtype=np.int64) * k
        _core.gru(gates, offsets, self._w_hh, embeddings, self._workspace, threads=threads)
        np.multiply(embeddings, self._scale, out=embeddings)
        np.add(embeddings, self._shift, out=embeddings)
        _core.l2norm(embeddings[None], "feature", embeddings[None], threads=threads)
        return embeddings

    def _linear(self, x: FloatArray, weight: _core.PackedMatrix, out: FloatArray) -> None:
        _core.linear(x, weight, out, self._workspace, threads=self._threads)

    def _layer(self, image: ImageConfig, weights: _Weights, name: str) -> _Layer:
        workspace, threads = self._workspace, self._threads
        scale = 1.0 / image.regions if image.scale_affinity else 1.0
        g = _packed(weights, f"{name}.g.weight", f"{name}.g.bias")
        r = _residual(image, weights, name)
        if image.graph == "light-gcn":
            sigma = weights[f"{name}.sigma"] * np.float32(scale)
            return lambda v, out: _core.light_gcn(v, sigma, g, r, out, workspace, threads=threads)
        theta, phi = (
            _packed(weights, f"{name}.{part}.weight", f"{name}.{part}.bias")
            for part in ("theta", "phi")
        )
        return lambda v, out: _core.vsrn_gcn(
            v, theta, phi, g, r, scale, out, workspace, threads=threads
        )


def _residual(image: ImageConfig, weights: _Weights, name: str) -> _core.PackedMatrix:
    """W_r with its BatchNorm."""
    if not image.batch_norm:
        return _packed(weights, f"{name}.r.weight", f"{name}.r.bias")
    scale, shift = scale_and_shift(weights, f"{name}.bn")
    weight = weights[f"{name}.r.weight"] * scale[:, None]
    bias = weights[f"{name}.r.bias"] * scale + shift
    return _core.PackedMatrix(weight.astype(np.float32), bias.astype(np.float32))


def _packed(weights: _Weights, weight: str, bias: str) -> _core.PackedMatrix:
    return _core.PackedMatrix(weights[weight], weights[bias])
