"""ONNX Runtime on the CPU, with its GRU node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnxruntime as ort

from refine_itr.bench.equations import Function, Ops
from refine_itr.bench.peers.onnx_graph import array_graph, text_graph
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call
from refine_itr.types import FloatArray

NAME = "ONNX Runtime"
PACKAGES = ("onnxruntime", "onnx")
PRECISIONS = ("fp32",)


def array_call(
    build: Callable[[Ops], Function], x: FloatArray, precision: str, threads: int
) -> Call:
    """Returns a call of the function that ``build`` makes of operations."""
    return run_graph(array_graph(build, x), {"x": x}, threads)


def text_call(work: TextWork, baseline: Baseline, precision: str, threads: int) -> Call:
    """Returns a call that embeds the batch."""
    inputs = {"tokens": work.padded, "lengths": work.lengths.astype("int32")}
    return run_graph(text_graph(work, baseline), inputs, threads)


def run_graph(graph: bytes, inputs: Mapping[str, Any], threads: int) -> Call:
    """Returns a call that runs a model; an input that the model does not have is left out."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # a constant that it folds is not worth a line
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    used = {value.name: inputs[value.name] for value in session.get_inputs()}
    return lambda: session.run(None, used)[0]
