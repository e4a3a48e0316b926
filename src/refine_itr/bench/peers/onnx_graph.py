"""The encoders as ONNX graphs of fixed size: what ONNX Runtime and OpenVINO run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from refine_itr.bench.equations import GRU_WEIGHTS, Function, Ops
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.encoding.folding import gate_table
from refine_itr.types import FloatArray

_Inputs = dict[str, tuple[int, list[int]]]

_OPSET, _IR = 18, 10  # what both runtimes of the last two years read


@dataclass(frozen=True)
class Value:
    """A value of a graph; operators add nodes to it.

    Attributes:
        ops: The graph.
        name: Unique in it.
    """

    ops: GraphOps
    name: str

    def __matmul__(self, other: Value) -> Value:
        return self.ops.node("MatMul", self, other)

    def __add__(self, other: Value) -> Value:
        return self.ops.node("Add", self, other)

    def __sub__(self, other: Value) -> Value:
        return self.ops.node("Sub", self, other)

    def __mul__(self, other: Value) -> Value:
        return self.ops.node("Mul", self, other)


class GraphOps:
    """Writes a graph node by node."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def input(self, name: str) -> Value:
        """Returns an input of the model."""
        return Value(self, name)

    def constant(self, values: npt.NDArray[np.generic]) -> Value:
        """Takes over weights."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return Value(self, name)

    def node(
        self, kind: str, *inputs: Value | None, outputs: int = 1, **attributes: object
    ) -> Value:
        """Adds a node and returns its last output; an input that is None is left out."""
        names = [f"v{len(self._nodes)}_{i}" for i in range(outputs)]
        given = [value.name if value else "" for value in inputs]
        self._nodes.append(helper.make_node(kind, given, names, **attributes))
        return Value(self, names[-1])

    def linear(self, weight: FloatArray, bias: FloatArray) -> Callable[[Value], Value]:
        """Returns x -> x W^T + b."""
        w, b = self.constant(weight.T), self.constant(bias)
        return lambda x: x @ w + b

    def gru(
        self, w_ih: FloatArray, w_hh: FloatArray, b_ih: FloatArray, b_hh: FloatArray
    ) -> Callable[[Value], Value]:
        """Returns (b, K, D) -> the last hidden state."""

        def run(x: Value) -> Value:
            steps = self.node("Transpose", x, perm=[1, 0, 2])
            return self.sequence(steps, None, w_ih, w_hh, b_ih, b_hh)

        return run

    def sequence(
        self, x: Value, lengths: Value | None, w_ih: FloatArray, w_hh: FloatArray,
        b_ih: FloatArray, b_hh: FloatArray,
    ) -> Value:  # fmt: skip
        """Adds a GRU over (steps, b, n) and returns its last hidden states (b, D)."""
        w, r = (self.constant(_zrh(weight)[None]) for weight in (w_ih, w_hh))
        b = self.constant(np.concatenate([_zrh(b_ih), _zrh(b_hh)])[None])
        last = self.node(
            "GRU", x, w, r, b, lengths,
            outputs=2, hidden_size=w_hh.shape[1], linear_before_reset=1,
        )  # fmt: skip
        return self.node("Squeeze", last, self.axis(0))

    def axis(self, number: int) -> Value:
        """Returns a node's input that names an axis, or a place in one."""
        return self.constant(np.array([number]))

    def transpose(self, a: Value) -> Value:
        """Swaps the last two axes."""
        return self.node("Transpose", a, perm=[0, 2, 1])

    def row_sum(self, a: Value) -> Value:
        """Sums the last axis."""
        return self.node("ReduceSum", a, self.axis(-1), keepdims=1)

    def unit(self, a: Value) -> Value:
        """Divides by the norm over axis 1."""
        norm = self.node("ReduceL2", a, self.axis(1), keepdims=1)
        tiny = self.constant(np.array(1e-12, np.float32))
        return self.node("Div", a, self.node("Max", norm, tiny))

    def model(self, inputs: _Inputs, output: Value) -> bytes:
        """Returns the finished model.

        Args:
            inputs: Element type and shape by name.
            output: The value that is the result, float32.
        """
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()],
            [helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None)],
            self._constants,
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR)
        data: bytes = model.SerializeToString()
        return data


def array_graph(build: Callable[[Ops], Function], x: FloatArray) -> bytes:
    """Returns the model "x" -> the function that ``build`` makes of operations."""
    ops = GraphOps()
    out = build(ops)(ops.input("x"))
    return ops.model({"x": (TensorProto.FLOAT, list(x.shape))}, out)


def text_graph(work: TextWork, baseline: Baseline) -> bytes:
    """Returns the model "tokens" int64 (n, longest), "lengths" int32 (n,) -> (n, D)."""
    ops = GraphOps()
    make = _text_folded if baseline == "folded" else _text_as_written
    n, longest = work.padded.shape
    inputs = {"tokens": (TensorProto.INT64, [n, longest]), "lengths": (TensorProto.INT32, [n])}
    return ops.model(inputs, ops.unit(make(ops, work)))


def _text_as_written(ops: GraphOps, work: TextWork) -> Value:
    weights = [work.weights[f"text.gru.{kind}"] for kind in GRU_WEIGHTS]
    steps = ops.node("Transpose", ops.input("tokens"), perm=[1, 0])
    words = ops.node("Gather", ops.constant(work.weights["text.embedding.weight"]), steps)
    return ops.sequence(words, ops.input("lengths"), *weights)


def _text_folded(ops: GraphOps, work: TextWork) -> Value:
    """The recurrence, step by step: the GRU node takes no gate inputs."""
    hidden = ops.linear(work.weights["text.gru.weight_hh"], work.weights["text.gru.bias_hh"])
    n, longest = work.padded.shape
    table = ops.constant(gate_table(work.weights))
    lengths = ops.node("Unsqueeze", ops.input("lengths"), ops.axis(1))
    state = ops.constant(np.zeros((n, work.dim), np.float32))
    for step in range(longest):
        words = ops.node("Gather", ops.input("tokens"), ops.constant(np.array(step)), axis=1)
        new = _step(ops.node("Gather", table, words), hidden(state), state, work.dim)
        inside = ops.node("Greater", lengths, ops.constant(np.array([[step]], np.int32)))
        state = ops.node("Where", inside, new, state)
    return state


def _step(inputs: Value, from_state: Value, state: Value, dim: int) -> Value:
    ops = inputs.ops

    def part(value: Value, start: int, end: int) -> Value:
        return ops.node("Slice", value, ops.axis(start * dim), ops.axis(end * dim), ops.axis(1))

    both = ops.node("Sigmoid", part(inputs, 0, 2) + part(from_state, 0, 2))
    reset, update = part(both, 0, 1), part(both, 1, 2)
    new = ops.node("Tanh", part(inputs, 2, 3) + reset * part(from_state, 2, 3))
    return new + update * (state - new)


def _zrh(weight: FloatArray) -> FloatArray:
    """Returns weights of gates r, z, n in the order z, r, n, which ONNX has."""
    r, z, n = np.split(weight, 3)
    return np.concatenate([z, r, n])
