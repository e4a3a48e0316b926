"""Nothing is timed before its answer is right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refine_itr.bench.arrays import Array
from refine_itr.bench.timing import Call
from refine_itr.errors import WrongAnswerError

# How far a vector may lie from the float64 one, in lengths of that. fp32: sums of thousands of
# products, each good to 6e-8, through a dozen steps. bf16 keeps 8 bits: weights and activations are
# off by up to 0.4 %, which a dozen products, each adding its own, make about 1 %. int8: steps are
# 0.8 % of a row's largest value, so a usual one is off by 1 % and more.
TOLERANCES = {"fp32": 1e-4, "bf16": 2e-2, "int8": 5e-2}


def check_vectors(calls: Mapping[str, Call], expected: Array, tolerance: float) -> None:
    """Runs each call once and compares.

    Args:
        calls: By name.
        expected: Vectors in the last axis, in float64.
        tolerance: Most distance of a vector from the expected one, in lengths of that.

    Raises:
        WrongAnswerError: One is further away, or of another shape.
    """
    length = np.linalg.norm(expected, axis=-1)
    for name, call in calls.items():
        found = np.asarray(call(), np.float64)
        if found.shape != expected.shape:
            raise WrongAnswerError(f"{name}: expected vectors {expected.shape}, got {found.shape}")
        worst = float((np.linalg.norm(found - expected, axis=-1) / length).max())
        if not worst <= tolerance:  # NaN is wrong, too
            raise WrongAnswerError(
                f"{name}: expected vectors within {tolerance:g} of the float64 reference; "
                f"the worst is {worst:.3g} away"
            )
