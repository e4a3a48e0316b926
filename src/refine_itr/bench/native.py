"""Our own code as calls to check and to time: whole encoders, and the kernels they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from refine_itr import _core
from refine_itr.bench.as_written import AsWrittenEncoder
from refine_itr.bench.equations import ImageWork
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call
from refine_itr.encoding import ImageEncoder
from refine_itr.encoding.folding import Weights, fold_affinity, fold_projection, gate_table
from refine_itr.types import FloatArray, Precision

Function: TypeAlias = Callable[[FloatArray], FloatArray]


def image_call(work: ImageWork, precision: Precision, threads: int) -> Call:
    """Returns a call of our image encoder, which folds."""
    encoder = ImageEncoder(work.config, work.weights, threads, precision)
    return lambda: encoder.encode(work.regions)


def text_call(work: TextWork, precision: Precision, threads: int) -> Call:
    """Returns a call of our text encoder behind the tokenizer, which folds."""
    weight, bias = (work.weights[f"text.gru.{kind}_hh"] for kind in ("weight", "bias"))
    w_hh = _core.PackedGates(weight, bias, precision)
    encoder = _core.TextEncoder(gate_table(work.weights), w_hh, "last")
    workspace = _core.Workspace()

    def call() -> FloatArray:
        out = np.empty((len(work.lengths), encoder.dim), np.float32)
        encoder.encode(work.tokens, work.offsets, out, workspace, threads=threads)
        return out

    return call


def image_call_as_written(work: ImageWork, precision: Precision, threads: int) -> Call:
    """Returns a call that embeds with our kernels, but without folding anything."""
    encoder = AsWrittenEncoder(work.config, work.weights, threads, precision)
    return lambda: encoder.encode(work.regions)


@dataclass(frozen=True)
class Kernels:
    """Kernels over batches (b, K, n); each keeps its result's memory, as callers of ours do.

    Attributes:
        batch: b.
        regions: K.
        precision: Of the weights.
        threads: Threads of a call.
    """

    batch: int
    regions: int
    precision: Precision
    threads: int
    _workspace: _core.Workspace = field(default_factory=_core.Workspace)

    def linear(self, weight: FloatArray, bias: FloatArray) -> Function:
        """Returns x -> x W^T + b."""
        matrix, out = _core.PackedMatrix(weight, bias, self.precision), self._empty(len(weight))

        def apply(x: FloatArray) -> FloatArray:
            rows = x.reshape(-1, x.shape[-1])
            target = out.reshape(len(rows), -1)
            _core.linear(rows, matrix, target, self._workspace, threads=self.threads)
            return out

        return apply

    def gru(
        self, w_ih: FloatArray, w_hh: FloatArray, b_ih: FloatArray, b_hh: FloatArray
    ) -> Function:
        """Returns (b, K, D) -> the last hidden state (b, D)."""
        gates, matrix = self.linear(w_ih, b_ih), _core.PackedGates(w_hh, b_hh, self.precision)
        offsets = np.arange(self.batch + 1, dtype=np.int64) * self.regions
        out = np.empty((self.batch, w_hh.shape[1]), np.float32)

        def run(x: FloatArray) -> FloatArray:
            inputs = gates(x).reshape(-1, 3 * out.shape[1])
            _core.gru(inputs, offsets, matrix, out, self._workspace, threads=self.threads)
            return out

        return run

    def unit(self, width: int) -> Function:
        """Returns (b, K, width) -> each feature divided by its norm over the regions."""
        out = self._empty(width)

        def apply(x: FloatArray) -> FloatArray:
            _core.l2norm(x, "region", out, threads=self.threads)
            return out

        return apply

    def layer(self, graph: str, baseline: Baseline, weights: Weights, name: str) -> Function:
        """Returns a graph layer with the 1/K."""
        makers = {
            ("light-gcn", "as-written"): self._light_gcn,
            ("light-gcn", "folded"): self._light_gcn_folded,
            ("vsrn-gcn", "as-written"): self._vsrn_gcn,
            ("vsrn-gcn", "folded"): self._vsrn_gcn_folded,
        }
        return makers[graph, baseline](weights, name)

    def _light_gcn(self, weights: Weights, name: str) -> Function:
        sigma = weights[f"{name}.sigma"] * np.float32(1 / self.regions)
        g, r = (self._packed(weights, f"{name}.{part}") for part in ("g", "r"))
        out, work, threads = self._empty(g.n_out), self._workspace, self.threads

        def reason(v: FloatArray) -> FloatArray:
            _core.light_gcn(v, sigma, g, r, out, work, threads=threads)
            return out

        return reason

    def _light_gcn_folded(self, weights: Weights, name: str) -> Function:
        sigma = weights[f"{name}.sigma"] * np.float32(1 / self.regions)
        folded = fold_projection(weights, name, batch_norm=False)
        f, row_bias = (
            _core.PackedMatrix(folded.weight, folded.bias, self.precision),
            folded.row_bias,
        )
        out, work, threads = self._empty(f.n_out), self._workspace, self.threads

        def reason(v: FloatArray) -> FloatArray:
            _core.light_gcn_folded(v, sigma, f, row_bias, out, work, threads=threads)
            return out

        return reason

    def _vsrn_gcn(self, weights: Weights, name: str) -> Function:
        theta, phi, g, r = (
            self._packed(weights, f"{name}.{part}") for part in ("theta", "phi", "g", "r")
        )
        out, work, threads = self._empty(g.n_out), self._workspace, self.threads

        def reason(v: FloatArray) -> FloatArray:
            _core.vsrn_gcn(v, theta, phi, g, r, 1 / self.regions, out, work, threads=threads)
            return out

        return reason

    def _vsrn_gcn_folded(self, weights: Weights, name: str) -> Function:
        folded, a = fold_projection(weights, name, batch_norm=False), fold_affinity(weights, name)
        m = _core.PackedMatrix(np.ascontiguousarray(a.m.T), None, self.precision)
        f, row_bias = (
            _core.PackedMatrix(folded.weight, folded.bias, self.precision),
            folded.row_bias,
        )
        out, work, threads = self._empty(f.n_out), self._workspace, self.threads

        def reason(v: FloatArray) -> FloatArray:
            _core.vsrn_gcn_folded(
                v, m, a.u, a.w, a.c, 1 / self.regions, f, row_bias, out, work, threads=threads
            )
            return out

        return reason

    def _packed(self, weights: Weights, name: str) -> _core.PackedMatrix:
        return _core.PackedMatrix(
            weights[f"{name}.weight"], weights[f"{name}.bias"], self.precision
        )

    def _empty(self, width: int) -> FloatArray:
        return np.empty((self.batch, self.regions, width), np.float32)
