"""Exact algebra on the weights, done once at load: in float64, but the table of words in float32.

Inside one graph layer all around the K x K relation is linear, so neighbouring matrices fold
into one and inference multiplies half as much, with the same result:

* a BatchNorm at inference is a scale and a shift: it folds into W_r before it;
* W_r (A V W_g) = (A V) F^T + (A 1) f^T + o, with F = W_r W_g, f = W_r b_g, o = b_r;
* theta(V) phi(V)^T = V M V^T + (V u) 1^T + 1 (V w)^T + c, with M = W_theta^T W_phi,
  u = W_theta^T b_phi, w = W_phi^T b_theta, c = b_theta . b_phi;
* word embedding and the GRU's input projection fold into one row of gate inputs per word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refine_itr.types import FloatArray

Weights = Mapping[str, FloatArray]
_Float64Array = npt.NDArray[np.float64]

_BATCH_NORM_EPS = 1e-5  # PyTorch's default


@dataclass(frozen=True)
class FoldedProjection:
    """W_r, W_g and BatchNorm in one: ``out = (R V) weight^T + (R 1) row_bias^T + bias + V``.

    Attributes:
        weight: F, float32 (D, D).
        row_bias: f, float32 (D,).
        bias: o, float32 (D,).
    """

    weight: FloatArray
    row_bias: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class FoldedAffinity:
    """VSRN's theta and phi in one: ``R = V M V^T + (V u) 1^T + 1 (V w)^T + c``.

    Attributes:
        m: float32 (D, D).
        u: float32 (D,).
        w: float32 (D,).
        c: A number.
    """

    m: FloatArray
    u: FloatArray
    w: FloatArray
    c: float


def scale_and_shift(weights: Weights, name: str) -> tuple[_Float64Array, _Float64Array]:
    """Returns the BatchNorm ``name`` at inference as ``x * scale + shift``, each (D,)."""
    gamma, beta, mean, variance = (
        weights[f"{name}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + _BATCH_NORM_EPS)
    return scale, beta - mean * scale


def fold_projection(weights: Weights, layer: str, batch_norm: bool) -> FoldedProjection:
    """Folds W_g, W_r and the BatchNorm of one graph layer."""
    g, g_bias = _linear(weights, f"{layer}.g")
    r, r_bias = _linear(weights, f"{layer}.r")
    if batch_norm:
        scale, shift = scale_and_shift(weights, f"{layer}.bn")
        r, r_bias = r * scale[:, None], r_bias * scale + shift
    return FoldedProjection(_float32(r @ g), _float32(r @ g_bias), _float32(r_bias))


def fold_affinity(weights: Weights, layer: str) -> FoldedAffinity:
    """Folds theta and phi of one VSRN layer."""
    theta, theta_bias = _linear(weights, f"{layer}.theta")
    phi, phi_bias = _linear(weights, f"{layer}.phi")
    return FoldedAffinity(
        m=_float32(theta.T @ phi),
        u=_float32(theta.T @ phi_bias),
        w=_float32(phi.T @ theta_bias),
        c=float(theta_bias @ phi_bias),
    )


def gate_table(weights: Weights) -> FloatArray:
    """Returns one row of GRU gate inputs per word, float32 (V, 3D): W_ih embedding + b_ih."""
    embedding = weights["text.embedding.weight"]
    table = embedding @ weights["text.gru.weight_ih"].T
    table += weights["text.gru.bias_ih"]
    return np.ascontiguousarray(table)


def _linear(weights: Weights, name: str) -> tuple[_Float64Array, _Float64Array]:
    return (
        weights[f"{name}.weight"].astype(np.float64),
        weights[f"{name}.bias"].astype(np.float64),
    )


def _float32(array: _Float64Array) -> FloatArray:
    return np.ascontiguousarray(array, dtype=np.float32)
