"""How far a float32 result may lie from the float64 reference, each with its reason.

An error is compared with the size of what was added up, not with the sum: a sum that cancels has no
relative accuracy in any order of float32 additions. `magnitude` below is that size.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from refine_itr import _core

from .arrays import Precision

EPS: Final = 2.0**-24  # half a unit in the last place of 1.0

TOLERANCES: Final = {
    # Sums of some hundreds of products in a row: at most about 500 EPS = 3e-5 for 500 of them, and
    # rounding errors mostly cancel.
    "linear": 1e-5,
    # One sum of squares, a square root, a division.
    "l2norm": 1e-6,
    # Four products after each other, each within "linear" of its own magnitude.
    "graph": 1e-5,
    # Gates in -1 .. 1 from polynomials good to 2e-7; errors of a step are damped by the next.
    "gru": 1e-5,
    # As "linear".
    "score": 1e-5,
    # Pooling adds at most K numbers.
    "pooling": 1e-6,
    # The hidden product is off by at most 2^-7 of its magnitude, which is below one here; a gate's
    # slope is at most one, and errors of a step are damped by the next.
    "gru-bf16": 0.02,
    # Likewise with steps of 1/127 of the largest number in both factors, or of 1/63 in the weights.
    "gru-int8": 0.06,
    # A unit vector after up to four layers, a GRU over 36 regions and three norms.
    "encoder": 1e-4,
}


def assert_close(
    actual: NDArray[np.float32],
    expected: NDArray[np.float64],
    tolerance: str,
    magnitude: NDArray[np.float64] | float,
) -> None:
    """Asserts |actual - expected| <= tolerance * magnitude, element by element."""
    assert actual.shape == expected.shape
    limit = TOLERANCES[tolerance] * np.broadcast_to(magnitude, expected.shape) + 1e-37
    error = np.abs(actual.astype(np.float64) - expected)
    bad = ~(error <= limit)
    assert not bad.any(), (
        f"{bad.sum()} of {bad.size} elements beyond {TOLERANCES[tolerance]} of their magnitude; "
        f"worst {np.max(error / limit) * TOLERANCES[tolerance]:.3g}"
    )


def product_limit(
    x: NDArray[np.float32],
    weight: NDArray[np.float32],
    precision: Precision,
    rest: NDArray[np.float32] | np.float32,
) -> NDArray[np.float64]:
    """How far x weight^T, computed in a precision, may be off; ``rest`` is added in float32.

    bf16 rounds each factor to a relative 2^-8; int8 to half a step of 1/127 of its row's largest,
    of 1/63 in weights where the instruction set adds up two products within 16 bits.
    """
    left, right = np.abs(x.astype(np.float64)), np.abs(weight.astype(np.float64))
    magnitude = left @ right.T
    limit = TOLERANCES["linear"] * (magnitude + rest)
    if precision == "bf16":
        limit += (2.0**-7 + 2.0**-16) * magnitude
    if precision == "int8" and x.shape[1] > 0:
        steps = 63 if _core.isa() in ("avx2", "avx512") else 127
        dx, dw = (
            np.max(side, axis=1) / (2 * levels) * (1 + 1e-5)
            for side, levels in ((left, 127), (right, steps))
        )
        limit += dx[:, None] * right.sum(axis=1) + left.sum(axis=1)[:, None] * dw
        limit += x.shape[1] * dx[:, None] * dw
    return limit


def assert_within(
    actual: NDArray[np.float32], expected: NDArray[np.float64], limit: NDArray[np.float64]
) -> None:
    """Asserts |actual - expected| <= limit, element by element."""
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(np.float64) - expected)
    bad = ~(error <= limit + 1e-37)
    assert not bad.any(), f"{bad.sum()} of {bad.size} elements are off by more than the limit"


def assert_norm_close(
    actual: NDArray[np.float32], expected: NDArray[np.float64], tolerance: str
) -> None:
    """Asserts that the whole error is at most tolerance of the whole result."""
    error = np.linalg.norm(actual.astype(np.float64) - expected)
    assert error <= TOLERANCES[tolerance] * np.linalg.norm(expected)
