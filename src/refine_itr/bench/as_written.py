"""The paper's image encoder through our kernels as its equations are written, nothing folded.

Only BatchNorm is part of W_r, as any runtime does it. The folded form is the shipped
``refine_itr.encoding.ImageEncoder``; both give the same embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refine_itr import _core
from refine_itr.bench.equations import GRU_WEIGHTS
from refine_itr.bundle import BundleConfig, ImageConfig
from refine_itr.encoding.folding import scale_and_shift
from refine_itr.types import FloatArray, Precision

_Weights = Mapping[str, FloatArray]
_Layer = Callable[[FloatArray, FloatArray], None]


class AsWrittenEncoder:
    """fc, graph layers, l2norm, GRU, BatchNorm, l2norm: one native call each.

    Args:
        config: Of a bundle with pooling "gru" and without ``normalize_projection``.
        weights: As trained, by name.
        threads: Threads of a call.
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
        self._config = config
        self._threads = threads
        self._precision: Precision = precision
        self._workspace = _core.Workspace()
        self._fc = self._packed(weights, "image.fc")
        self._layers = [
            self._layer(image, weights, f"image.graph.{index}") for index in range(image.layers)
        ]
        w_ih, w_hh, b_ih, b_hh = (weights[f"image.gru.{kind}"] for kind in GRU_WEIGHTS)
        self._w_ih = _core.PackedMatrix(w_ih, b_ih, precision)
        self._w_hh = _core.PackedGates(w_hh, b_hh, precision)
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
        g = self._packed(weights, f"{name}.g")
        r = self._residual(image, weights, name)
        if image.graph == "light-gcn":
            sigma = weights[f"{name}.sigma"] * np.float32(scale)
            return lambda v, out: _core.light_gcn(v, sigma, g, r, out, workspace, threads=threads)
        theta, phi = (self._packed(weights, f"{name}.{part}") for part in ("theta", "phi"))
        return lambda v, out: _core.vsrn_gcn(
            v, theta, phi, g, r, scale, out, workspace, threads=threads
        )

    def _residual(self, image: ImageConfig, weights: _Weights, name: str) -> _core.PackedMatrix:
        """W_r with its BatchNorm."""
        if not image.batch_norm:
            return self._packed(weights, f"{name}.r")
        scale, shift = scale_and_shift(weights, f"{name}.bn")
        weight = (weights[f"{name}.r.weight"] * scale[:, None]).astype(np.float32)
        bias = (weights[f"{name}.r.bias"] * scale + shift).astype(np.float32)
        return _core.PackedMatrix(weight, bias, self._precision)

    def _packed(self, weights: _Weights, name: str) -> _core.PackedMatrix:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return _core.PackedMatrix(weight, bias, self._precision)
