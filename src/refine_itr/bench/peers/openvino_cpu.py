"""OpenVINO on the CPU, from the same ONNX graphs; the GRU node becomes its GRUSequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import openvino as ov

from refine_itr.bench.equations import Function, Ops
from refine_itr.bench.peers.onnx_graph import array_graph, text_graph
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call
from refine_itr.types import FloatArray

NAME = "OpenVINO"
PACKAGES = ("openvino", "onnx")
PRECISIONS = ("fp32", "bf16")

_HINTS = {"fp32": "f32", "bf16": "bf16"}


def array_call(
    build: Callable[[Ops], Function], x: FloatArray, precision: str, threads: int
) -> Call:
    """Returns a call of the function that ``build`` makes of operations."""
    return run_graph(array_graph(build, x), {"x": x}, precision, threads)


def text_call(work: TextWork, baseline: Baseline, precision: str, threads: int) -> Call:
    """Returns a call that embeds the batch."""
    inputs = {"tokens": work.padded, "lengths": work.lengths.astype("int32")}
    return run_graph(text_graph(work, baseline), inputs, precision, threads)


def run_graph(graph: bytes, inputs: Mapping[str, Any], precision: str, threads: int) -> Call:
    """Returns a call that runs a model in a precision.

    The precision is always said: on a CPU with bfloat16 OpenVINO's own choice is that. Threads are
    not pinned to cores, which would pin the caller's thread too, and with it the other libraries.
    """
    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(graph),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()
    used = {name: inputs[name] for value in compiled.inputs for name in value.get_names()}

    def call() -> FloatArray:
        found: FloatArray = request.infer(used, share_inputs=True, share_outputs=True)[0]
        return found

    return call
