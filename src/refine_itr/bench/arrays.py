"""The encoders in plain NumPy: in float64 the reference, in float32 a peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_itr.bench.equations import Function, ImageWork, Ops, image_encoder
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import Steps, TextWork
from refine_itr.encoding.folding import gate_table
from refine_itr.types import FloatArray

Array = npt.NDArray[np.floating[Any]]


class ArrayOps:
    """NumPy's operations.

    Args:
        dtype: Of all arithmetic.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)

    def constant(self, values: FloatArray) -> Array:
        """Takes over weights."""
        taken: Array = np.asarray(values, self._dtype)
        return taken

    def linear(self, weight: FloatArray, bias: FloatArray) -> Callable[[Array], Array]:
        """Returns x -> x W^T + b."""
        w, b = self.constant(weight).T, self.constant(bias)

        def apply(x: Array) -> Array:
            # One product for the whole batch; NumPy would make one for each of its images.
            rows: Array = x.reshape(-1, x.shape[-1]) @ w + b
            return rows.reshape(*x.shape[:-1], -1)

        return apply

    def gru(
        self, w_ih: FloatArray, w_hh: FloatArray, b_ih: FloatArray, b_hh: FloatArray
    ) -> Callable[[Array], Array]:
        """Returns (b, K, D) -> the last hidden state."""
        gates, step = self.linear(w_ih, b_ih), self.step(w_hh, b_hh)

        def run(x: Array) -> Array:
            inputs, state = gates(x), np.zeros((len(x), w_hh.shape[1]), self._dtype)
            for k in range(x.shape[1]):
                state = step(inputs[:, k], state)
            return state

        return run

    def step(self, w_hh: FloatArray, b_hh: FloatArray) -> Callable[[Array, Array], Array]:
        """Returns (gate inputs (n, 3D), hidden states (n, D)) -> the next hidden states."""
        hidden, dim = self.linear(w_hh, b_hh), w_hh.shape[1]

        def step(inputs: Array, state: Array) -> Array:
            from_state = hidden(state)
            both = inputs[:, : 2 * dim] + from_state[:, : 2 * dim]
            reset, update = np.split(1 / (1 + np.exp(-both)), 2, axis=1)
            new = np.tanh(inputs[:, 2 * dim :] + reset * from_state[:, 2 * dim :])
            return new + update * (state - new)

        return step

    def transpose(self, a: Array) -> Array:
        """Swaps the last two axes."""
        swapped: Array = a.swapaxes(1, 2)
        return swapped

    def row_sum(self, a: Array) -> Array:
        """Sums the last axis."""
        total: Array = a.sum(axis=-1, keepdims=True)
        return total

    def unit(self, a: Array) -> Array:
        """Divides by the norm over axis 1."""
        norm = np.sqrt((a * a).sum(axis=1, keepdims=True))
        scaled: Array = a / np.maximum(norm, np.finfo(self._dtype).tiny)
        return scaled


def array_call(
    build: Callable[[Ops], Function], x: FloatArray, dtype: npt.DTypeLike
) -> Callable[[], Array]:
    """Returns a call of a function of arrays.

    Args:
        build: Makes the function from operations.
        x: Its argument.
        dtype: Of all arithmetic.
    """
    ops = ArrayOps(dtype)
    function, values = build(ops), ops.constant(x)
    return lambda: function(values)


def encode_images(work: ImageWork, baseline: Baseline, dtype: npt.DTypeLike) -> Callable[[], Array]:
    """Returns a call that embeds the batch: (b, D)."""
    return array_call(lambda ops: image_encoder(ops, work, baseline), work.regions, dtype)


def encode_texts(work: TextWork, baseline: Baseline, dtype: npt.DTypeLike) -> Callable[[], Array]:
    """Returns a call that embeds the batch: (n, D)."""
    ops, steps, weights = ArrayOps(dtype), Steps.of(work), work.weights
    step = ops.step(weights["text.gru.weight_hh"], weights["text.gru.bias_hh"])
    gates = _gates(ops, work, baseline)

    def encode() -> Array:
        inputs = gates(steps.tokens)
        state = np.zeros((len(steps.order), inputs.shape[1] // 3), inputs.dtype)
        start = 0
        for size in steps.sizes:
            state[:size] = step(inputs[start : start + size], state[:size])
            start += size
        out = np.empty_like(state)
        out[steps.order] = ops.unit(state)
        return out

    return encode


def _gates(
    ops: ArrayOps, work: TextWork, baseline: Baseline
) -> Callable[[npt.NDArray[np.int64]], Array]:
    if baseline == "folded":
        table = ops.constant(gate_table(work.weights))
        return lambda tokens: table[tokens]
    words = ops.constant(work.weights["text.embedding.weight"])
    project = ops.linear(work.weights["text.gru.weight_ih"], work.weights["text.gru.bias_ih"])
    return lambda tokens: project(words[tokens])
