"""Vectors that are hard to tell apart, to quantise or to bound."""

from __future__ import annotations

import numpy as np

from .arrays import F32, unaligned

KINDS = (
    "normal",
    "unit",
    "ties",
    "largest codes",
    "near ties",
    "spiky",
    "magnitudes",
    "huge",
    "denormal",
    "not finite",
)


def matrix(kind: str, rng: np.random.Generator, rows: int, dim: int) -> F32:
    """Rows of one of KINDS, some of them zeros."""
    x = rng.standard_normal((rows, dim))
    if kind == "unit":
        x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-12
    elif kind == "ties":
        x = np.round(x)
    elif kind == "largest codes":  # sums that are too narrow saturate
        x = np.sign(x)
    elif kind == "near ties":  # one direction, and less beside it than quantising takes away
        x = rng.standard_normal((1, dim)) + 1e-6 * x
    elif kind == "spiky":
        x = x**9
    elif kind == "magnitudes":
        x *= 2.0 ** rng.integers(-149, 128, (rows, 1))
    elif kind == "huge":
        x *= 2.0**120
    elif kind == "denormal":
        x *= 2.0**-140
    elif kind == "not finite":
        x[rng.random(x.shape) < 0.02] = np.nan
        x[rng.random(x.shape) < 0.02] = np.inf
        x[rng.random(x.shape) < 0.02] = -np.inf
    x[rng.random(rows) < 0.1] = 0.0
    with np.errstate(over="ignore"):
        return unaligned(x.astype(np.float32))
