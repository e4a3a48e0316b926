"""The image encoder's equations, written once for every library that multiplies matrices.

A library is a few operations (``Ops``) and arrays with the operators @, + and *; from them
``image_encoder`` makes the paper's graph as written, or with our folded weights. NumPy in float64
is the reference, the others are peers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from refine_itr.bench.report import Baseline
from refine_itr.bundle import BundleConfig
from refine_itr.encoding.folding import Weights, fold_affinity, fold_projection
from refine_itr.types import FloatArray

Value: TypeAlias = Any  # an array of the library in use; (b, K, n) unless said otherwise
Function: TypeAlias = Callable[[Value], Value]

GRU_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@dataclass(frozen=True)
class ImageWork:
    """An image encoder and a batch for it.

    Attributes:
        config: The architecture.
        weights: As trained, by name.
        regions: float32 (b, K, C).
    """

    config: BundleConfig
    weights: Weights
    regions: FloatArray


class Ops(Protocol):
    """What operators do not say."""

    def constant(self, values: FloatArray) -> Value:
        """Takes over weights, once."""

    def linear(self, weight: FloatArray, bias: FloatArray) -> Function:
        """Returns x -> x W^T + b."""

    def gru(
        self, w_ih: FloatArray, w_hh: FloatArray, b_ih: FloatArray, b_hh: FloatArray
    ) -> Function:
        """Returns (b, K, D) -> the last hidden state (b, D); gate order r, z, n."""

    def transpose(self, a: Value) -> Value:
        """Returns (b, K, n) as (b, n, K)."""

    def row_sum(self, a: Value) -> Value:
        """Returns the sums over the last axis, which stays as length 1."""

    def unit(self, a: Value) -> Value:
        """Returns a / ||a|| over axis 1, zeros for zeros."""


def image_encoder(ops: Ops, work: ImageWork, baseline: Baseline) -> Function:
    """Returns the encoder: fc, graph layers, l2norm over the regions, GRU, l2norm."""
    fc = _linear(ops, work.weights, "image.fc")
    layers = [graph_layer(ops, work, baseline, i) for i in range(work.config.image.layers)]
    gru = ops.gru(*(work.weights[f"image.gru.{kind}"] for kind in GRU_WEIGHTS))

    def encode(regions: Value) -> Value:
        v = fc(regions)
        for reason in layers:
            v = reason(v)
        return ops.unit(gru(ops.unit(v)))

    return encode


def graph_layer(ops: Ops, work: ImageWork, baseline: Baseline, number: int) -> Function:
    """Returns one of the graph layers."""
    image = work.config.image
    scale = np.float32(1 / image.regions if image.scale_affinity else 1)
    return _LAYERS[image.graph, baseline](ops, work.weights, f"image.graph.{number}", scale)


def light_gcn(ops: Ops, weights: Weights, name: str, scale: np.float32) -> Function:
    """Equation 3: V* = r(sigma (V V^T) g(V)) + V."""
    sigma = ops.constant(weights[f"{name}.sigma"] * scale)
    g, r = (_linear(ops, weights, f"{name}.{part}") for part in ("g", "r"))
    return lambda v: r(sigma @ (v @ ops.transpose(v)) @ g(v)) + v


def light_gcn_folded(ops: Ops, weights: Weights, name: str, scale: np.float32) -> Function:
    """The same with r and g in one matrix."""
    sigma = ops.constant(weights[f"{name}.sigma"] * scale)
    project = _folded_projection(ops, weights, name)
    return lambda v: project(sigma @ (v @ ops.transpose(v)), v) + v


def vsrn_gcn(ops: Ops, weights: Weights, name: str, scale: np.float32) -> Function:
    """Equations 1 and 2: V* = r(R g(V)) + V with R = theta(V) phi(V)^T / K."""
    theta, phi, g, r = (
        _linear(ops, weights, f"{name}.{part}") for part in ("theta", "phi", "g", "r")
    )
    factor = ops.constant(np.full((1, 1), scale, np.float32))
    return lambda v: r((theta(v) @ ops.transpose(phi(v)) * factor) @ g(v)) + v


def vsrn_gcn_folded(ops: Ops, weights: Weights, name: str, scale: np.float32) -> Function:
    """The same with theta and phi in one matrix, and r and g in one."""
    affinity = fold_affinity(weights, name)
    # (V M + 1 w^T) V^T has two of R's four terms: w is the bias of a linear layer.
    left = ops.linear(np.ascontiguousarray(affinity.m.T) * scale, affinity.w * scale)
    column = ops.linear(affinity.u[None] * scale, np.full(1, affinity.c, np.float32) * scale)
    project = _folded_projection(ops, weights, name)
    return lambda v: project(left(v) @ ops.transpose(v) + column(v), v) + v


def _folded_projection(ops: Ops, weights: Weights, name: str) -> Callable[[Value, Value], Value]:
    folded = fold_projection(weights, name, batch_norm=False)
    f, row_bias = ops.linear(folded.weight, folded.bias), ops.constant(folded.row_bias[None])
    return lambda relation, v: f(relation @ v) + ops.row_sum(relation) * row_bias


def _linear(ops: Ops, weights: Weights, name: str) -> Function:
    return ops.linear(weights[f"{name}.weight"], weights[f"{name}.bias"])


_LAYERS = {
    ("light-gcn", "as-written"): light_gcn,
    ("light-gcn", "folded"): light_gcn_folded,
    ("vsrn-gcn", "as-written"): vsrn_gcn,
    ("vsrn-gcn", "folded"): vsrn_gcn_folded,
}
