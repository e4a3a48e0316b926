"""ONNX Runtime on the CPU, with its GRU node.

In int8 its matrix products by weights, quantised as it runs; the GRU node has fp32 only.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnxruntime as ort
from onnxruntime.quantization import QuantType, quantize_dynamic

from refine_itr import _core
from refine_itr.bench.equations import Function, Ops
from refine_itr.bench.peers.onnx_graph import array_graph, text_graph
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call
from refine_itr.types import FloatArray

NAME = "ONNX Runtime"
PACKAGES = ("onnxruntime", "onnx")
PRECISIONS = ("fp32", "int8")

# On x86 without VNNI its kernel adds pairs of products in 16 bits, where 8-bit weights overflow:
# its manual advises 7 bits there.
_SATURATES = platform.machine() == "x86_64" and not any(
    "vnni" in isa for isa in _core.available_isas()
)


def array_call(
    build: Callable[[Ops], Function], x: FloatArray, precision: str, threads: int
) -> Call | None:
    """Returns a call of the function that ``build`` makes of operations."""
    return _call(array_graph(build, x), {"x": x}, precision, threads)


def text_call(work: TextWork, baseline: Baseline, precision: str, threads: int) -> Call | None:
    """Returns a call that embeds the batch."""
    inputs = {"tokens": work.padded, "lengths": work.lengths.astype("int32")}
    return _call(text_graph(work, baseline), inputs, precision, threads)


def _call(graph: bytes, inputs: Mapping[str, Any], precision: str, threads: int) -> Call | None:
    """Returns a call that runs a model; None where it would have nothing in that precision."""
    model = _quantised(graph) if precision == "int8" else graph
    if model is None:
        return None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # a constant that it folds is not worth a line
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    used = {value.name: inputs[value.name] for value in session.get_inputs()}
    return lambda: session.run(None, used)[0]


def _quantised(graph: bytes) -> bytes | None:
    """Returns a model with 8-bit weights; None if it multiplies by none."""
    model = onnx.load_from_string(graph)
    if all(node.op_type != "MatMul" for node in model.graph.node):
        return None
    with TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "quantised.onnx"
        quantize_dynamic(
            model, file, op_types_to_quantize=["MatMul"], per_channel=True,
            weight_type=QuantType.QInt8, reduce_range=_SATURATES,
        )  # fmt: skip
        return file.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the quantiser from advising, on the root logger, a step that changes nothing here."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
