"""PyTorch, eager: nn.GRU on packed sequences, one matrix product for a whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear, normalize
from torch.nn.utils.rnn import pack_padded_sequence

from refine_itr.bench.equations import GRU_WEIGHTS, Function, Ops
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import Steps, TextWork
from refine_itr.bench.timing import Call
from refine_itr.bench.top_k import Ids, SearchCall, SearchWork
from refine_itr.encoding.folding import gate_table
from refine_itr.types import FloatArray

NAME = "PyTorch"
PACKAGES = ("torch",)
PRECISIONS = SEARCH_PRECISIONS = ("fp32", "bf16")

_Function = Callable[[Any], torch.Tensor]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchOps:
    """PyTorch's operations in one precision."""

    def __init__(self, precision: str) -> None:
        self._dtype = _DTYPES[precision]

    def constant(self, values: FloatArray) -> torch.Tensor:
        """Takes over weights."""
        return torch.from_numpy(values).to(self._dtype)

    def linear(self, weight: FloatArray, bias: FloatArray) -> _Function:
        """Returns x -> x W^T + b."""
        w, b = self.constant(weight), self.constant(bias)
        return lambda x: linear(x, w, b)

    def gru(
        self, w_ih: FloatArray, w_hh: FloatArray, b_ih: FloatArray, b_hh: FloatArray
    ) -> _Function:
        """Returns (b, K, D), or a packed batch -> the last hidden states."""
        module = torch.nn.GRU(w_ih.shape[1], w_hh.shape[1], batch_first=True)
        arrays = (w_ih, w_hh, b_ih, b_hh)
        for parameter, values in zip(module.parameters(), arrays, strict=True):
            parameter.data = torch.from_numpy(values)
        module.to(self._dtype).eval()
        return lambda x: module(x)[1][0]

    def transpose(self, a: torch.Tensor) -> torch.Tensor:
        """Swaps the last two axes."""
        return a.transpose(1, 2)

    def row_sum(self, a: torch.Tensor) -> torch.Tensor:
        """Sums the last axis."""
        return a.sum(dim=-1, keepdim=True)

    def unit(self, a: torch.Tensor) -> torch.Tensor:
        """Divides by the norm over axis 1."""
        return normalize(a, dim=1)


def set_threads(threads: int) -> None:
    """Sets PyTorch's threads, which are the process's."""
    torch.set_num_threads(threads)


def array_call(
    build: Callable[[Ops], Function], x: FloatArray, precision: str, threads: int
) -> Call:
    """Returns a call of the function that ``build`` makes of operations."""
    set_threads(threads)
    function, values = build(TorchOps(precision)), torch.from_numpy(x)
    return to_call(lambda: function(values.to(_DTYPES[precision])))


def text_call(work: TextWork, baseline: Baseline, precision: str, threads: int) -> Call:
    """Returns a call that embeds the batch."""
    set_threads(threads)
    return to_call(text_function(work, baseline, precision))


def text_function(work: TextWork, baseline: Baseline, precision: str) -> Callable[[], torch.Tensor]:
    """Returns what embeds the batch."""
    make = _text_folded if baseline == "folded" else _text_as_written
    return make(TorchOps(precision), work)


def search_call(work: SearchWork, precision: str, threads: int) -> SearchCall:
    """Returns a call that gives scores and ids (q, k), best first."""
    set_threads(threads)
    ops = TorchOps(precision)
    gallery, queries = ops.constant(work.gallery), ops.constant(work.queries)

    def call() -> tuple[FloatArray, Ids]:
        with torch.inference_mode():
            scores, ids = torch.topk(linear(queries, gallery), work.k)
        return scores.float().numpy(), ids.numpy()

    return call


def _text_as_written(ops: TorchOps, work: TextWork) -> Callable[[], torch.Tensor]:
    words = ops.constant(work.weights["text.embedding.weight"])
    gru = ops.gru(*(work.weights[f"text.gru.{kind}"] for kind in GRU_WEIGHTS))
    tokens, lengths = torch.from_numpy(work.padded), torch.from_numpy(work.lengths)

    def encode() -> torch.Tensor:
        packed = pack_padded_sequence(
            words[tokens], lengths, batch_first=True, enforce_sorted=False
        )
        return ops.unit(gru(packed))

    return encode


def _text_folded(ops: TorchOps, work: TextWork) -> Callable[[], torch.Tensor]:
    """The recurrence by hand: no layer of PyTorch takes gate inputs. Sorted beforehand."""
    steps, dim = Steps.of(work), work.dim
    table = ops.constant(gate_table(work.weights))
    hidden = ops.linear(work.weights["text.gru.weight_hh"], work.weights["text.gru.bias_hh"])
    tokens, back = torch.from_numpy(steps.tokens), torch.from_numpy(np.argsort(steps.order))

    def encode() -> torch.Tensor:
        state = table.new_zeros(steps.sizes[0], dim)
        for inputs in torch.split(table[tokens], steps.sizes):
            size = len(inputs)
            from_state = hidden(state[:size])
            both = torch.sigmoid(inputs[:, : 2 * dim] + from_state[:, : 2 * dim])
            reset, update = both.chunk(2, dim=1)
            new = torch.addcmul(inputs[:, 2 * dim :], reset, from_state[:, 2 * dim :]).tanh_()
            state[:size] = torch.lerp(new, state[:size], update)
        return ops.unit(state)[back]

    return encode


def to_call(encode: Callable[[], torch.Tensor]) -> Call:
    """Returns a call of a function that gives a tensor."""

    def call() -> FloatArray:
        with torch.inference_mode():
            out: FloatArray = encode().float().numpy()
        return out

    return call
