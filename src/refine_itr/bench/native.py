"""Our own encoders as calls to check and to time."""

from __future__ import annotations

import numpy as np

from refine_itr import _core
from refine_itr.bench.equations import ImageWork
from refine_itr.bench.pending import image_encoder, packed
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call
from refine_itr.encoding.folding import gate_table
from refine_itr.types import FloatArray


def image_call(work: ImageWork, precision: str, threads: int) -> Call:
    """Returns a call of our image encoder, which folds."""
    encoder = image_encoder(work.config, work.weights, threads, precision)
    return lambda: encoder.encode(work.regions)


def text_call(work: TextWork, precision: str, threads: int) -> Call:
    """Returns a call of our text encoder behind the tokenizer, which folds."""
    w_hh = packed(work.weights["text.gru.weight_hh"], work.weights["text.gru.bias_hh"], precision)
    encoder = _core.TextEncoder(gate_table(work.weights), w_hh, "last")
    workspace = _core.Workspace()

    def call() -> FloatArray:
        out = np.empty((len(work.lengths), encoder.dim), np.float32)
        encoder.encode(work.tokens, work.offsets, out, workspace, threads=threads)
        return out

    return call
