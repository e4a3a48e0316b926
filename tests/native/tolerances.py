"""How far a float32 result may lie from the float64 reference, each with its reason.

An error is compared with the size of what was added up, not with the sum: a sum that cancels has no
relative accuracy in any order of float32 additions. `magnitude` below is that size.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

EPS: Final = 2.0**-24  # half a unit in the last place of 1.0

TOLERANCES: Final = {
    # Sums of up to 256 products in a row (one pass of the micro-kernel), passes added one by one:
    # at most about 260 EPS = 1.6e-5, and rounding errors partly cancel.
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


def assert_norm_close(
    actual: NDArray[np.float32], expected: NDArray[np.float64], tolerance: str
) -> None:
    """Asserts that the whole error is at most tolerance of the whole result."""
    error = np.linalg.norm(actual.astype(np.float64) - expected)
    assert error <= TOLERANCES[tolerance] * np.linalg.norm(expected)
