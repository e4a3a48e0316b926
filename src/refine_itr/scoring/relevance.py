"""How probable it is that a hit fits: a logistic function of what the search knows of it."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from refine_itr.errors import InvalidInputError

_STEPS = 100
_RIDGE = 1e-3  # keeps the weights finite where the scores part right from wrong without a miss


@dataclass(frozen=True)
class Relevance:
    """``1 / (1 + exp(-(score s + expected e + size log(n) + bias)))``.

    s is a hit's corrected score; e is what its query expects of items at large, the query's own
    soft maximum over the bank; n is how many items were searched: among more of them, more reach
    a score by chance. For one search e and n are constants, so hits keep their order.

    Attributes:
        score: Weight of s.
        expected: Weight of e.
        size: Weight of log(n).
        bias: The constant.
    """

    score: float
    expected: float
    size: float
    bias: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(weight) for weight in astuple(self)):
            raise InvalidInputError(f"relevance: expected finite weights; got {astuple(self)}")

    def __call__(
        self, scores: npt.ArrayLike, expected: npt.ArrayLike, count: int
    ) -> npt.NDArray[np.float64]:
        """Returns the probabilities, float64 in [0, 1].

        Args:
            scores: (q, k): corrected scores of the hits of q queries.
            expected: (q, 1): what each query expects.
            count: n.
        """
        z = (
            self.score * np.asarray(scores, np.float64)
            + self.expected * np.asarray(expected, np.float64)
            + self.size * math.log(max(count, 1))
            + self.bias
        )
        return _sigmoid(z)

    @classmethod
    def fit(
        cls,
        scores: npt.NDArray[np.floating],
        expected: npt.NDArray[np.floating],
        counts: npt.NDArray[np.integer],
        fits: npt.NDArray[np.bool_],
    ) -> Relevance:
        """Returns the weights of the largest likelihood (Newton's method).

        Args:
            scores: (m,): corrected scores of hits.
            expected: (m,): what their queries expect.
            counts: (m,): how many items were searched for each of them.
            fits: (m,): whether each of them fits.

        Raises:
            InvalidInputError: None of the hits fits, or all do.
        """
        if not 0 < fits.sum() < len(fits):
            raise InvalidInputError(
                f"relevance: expected hits that fit and hits that do not; "
                f"got {int(fits.sum())} that fit among {len(fits)}"
            )
        inputs = np.column_stack([scores, expected, np.log(counts), np.ones(len(scores))])
        weights = np.zeros(inputs.shape[1])
        for _ in range(_STEPS):
            step = _newton_step(inputs, fits, weights)
            weights -= step
            if np.abs(step).max() < 1e-9:
                break
        return cls(*map(float, weights))


def _newton_step(
    inputs: npt.NDArray[np.float64], fits: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    p = _sigmoid(inputs @ weights)
    ridge = _RIDGE * np.eye(len(weights))
    gradient = inputs.T @ (p - fits) + ridge @ weights
    hessian = (inputs * (p * (1 - p))[:, None]).T @ inputs + ridge
    step: npt.NDArray[np.float64] = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
    return step


def _sigmoid(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    tail = np.exp(-np.abs(z))  # never overflows
    p: npt.NDArray[np.float64] = np.where(z >= 0, 1, tail) / (1 + tail)
    return p
