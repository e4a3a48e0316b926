"""PyTorch through torch.compile, which needs a C++ compiler on the machine."""

from __future__ import annotations

from collections.abc import Callable

import torch

from refine_itr.bench.equations import Function, Ops
from refine_itr.bench.peers import pytorch
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call
from refine_itr.types import FloatArray

NAME = "PyTorch compiled"
PACKAGES = ("torch",)
PRECISIONS = ("fp32", "bf16")

try:
    torch.compile(torch.add)(torch.zeros(2), 1)
except Exception as exc:  # of many kinds: no compiler, no headers, an unsupported Python
    raise ImportError(f"torch.compile does not work here: {type(exc).__name__}") from exc


def array_call(
    build: Callable[[Ops], Function], x: FloatArray, precision: str, threads: int
) -> Call:
    """Returns a call of the function that ``build`` makes of operations."""

    def compiled(ops: Ops) -> Function:
        return torch.compile(build(ops), dynamic=False)

    return pytorch.array_call(compiled, x, precision, threads)


def text_call(work: TextWork, baseline: Baseline, precision: str, threads: int) -> Call:
    """Returns a call that embeds the batch."""
    pytorch.set_threads(threads)
    encode = pytorch.text_function(work, baseline, precision)
    return pytorch.to_call(torch.compile(encode, dynamic=False))
