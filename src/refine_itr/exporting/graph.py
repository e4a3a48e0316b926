"""ONNX graphs in the making, written node by node with ``onnx.helper``.

PyTorch's own exporters change from version to version, and bake in or leave out what a static
graph needs; here every node is one that was meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from refine_itr._version import __version__
from refine_itr.errors import MissingExtraError

if TYPE_CHECKING:
    import onnx

_OPSET = 17
_IR_VERSION = 8  # the one that came with opset 17: older runtimes read it

Sizes = tuple[int, ...]


class GraphBuilder:
    """Nodes and initialisers of a graph of float32 inputs and outputs.

    Raises:
        MissingExtraError: The package onnx is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as exc:
            raise MissingExtraError("exporting a detector", "export") from exc
        self._onnx = onnx
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node with one output; returns the output's name."""
        self.add_many(op, inputs, [output], **attributes)
        return output

    def add_many(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """Adds a node with several outputs."""
        node = self._onnx.helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)
        self._nodes.append(node)

    def constant(self, name: str, array: npt.ArrayLike, dtype: Any = np.float32) -> str:
        """Adds an array; returns its name."""
        values = np.ascontiguousarray(array, dtype)
        self._constants[name] = self._onnx.numpy_helper.from_array(values, name)
        return name

    def reshape(self, x: str, name: str, *sizes: int) -> str:
        """Adds a Reshape."""
        return self.add("Reshape", [x, self.constant(f"{name}.shape", sizes, np.int64)], name)

    def finish(self, name: str, inputs: Mapping[str, Sizes], outputs: Mapping[str, Sizes]) -> bytes:
        """Returns the graph, checked and serialised."""
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        ends = [
            [helper.make_tensor_value_info(n, float32, s) for n, s in named.items()]
            for named in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, name, *ends, list(self._constants.values()))
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="refine-itr",
            producer_version=__version__,
        )
        self._onnx.checker.check_model(model, full_check=True)
        serialized: bytes = model.SerializeToString()
        return serialized
