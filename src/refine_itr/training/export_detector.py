"""The backbone as a static, batchable ONNX graph, written node by node with ``onnx.helper``.

``images`` uint8 (n, S, S, 3) RGB -> normalise -> convolutions -> 2 x 2 average at stride 1 ->
``regions`` float32 (n, g * g, 1280). Kernels are stored as float16 and cast in the graph; ONNX
Runtime does these casts once, when it loads the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from refine_itr._version import __version__
from refine_itr.errors import InvalidInputError
from refine_itr.training.backbone import (
    FEATURES,
    PIXEL_MEAN,
    PIXEL_SCALE,
    STRIDE,
    Block,
    Conv,
    EfficientNetLite0,
    same_padding,
)

_OPSET = 17
_IR_VERSION = 8  # the one that came with opset 17: older runtimes read it


def detector_onnx(network: EfficientNetLite0, *, input_size: int = 224) -> bytes:
    """Serialises the detector.

    Args:
        network: The backbone, fine-tuned or not.
        input_size: S, a multiple of 32; the grid has S / 32 - 1 cells along each side.

    Raises:
        InvalidInputError: ``input_size`` is no multiple of 32 or gives no cell.
    """
    if input_size % STRIDE or input_size < 2 * STRIDE:
        raise InvalidInputError(
            f"input_size: expected a multiple of {STRIDE}, at least {2 * STRIDE}; got {input_size}"
        )
    graph = _Graph(input_size)
    x = graph.add_layer(graph.pixels(), network.stem, "stem")
    for index, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        x = graph.add_block(x, block, f"blocks.{index}")
    return graph.finish(graph.add_layer(x, network.head, "head"))


class _Graph:
    """Nodes and initialisers in the making, and the size of the map at the present end."""

    def __init__(self, input_size: int) -> None:
        self._input_size = input_size
        self._size = input_size
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def pixels(self) -> str:
        x = self._add("Cast", ["images"], "pixels.float", to=TensorProto.FLOAT)
        x = self._add("Transpose", [x], "pixels.nchw", perm=[0, 3, 1, 2])
        x = self._add("Sub", [x, self._scalar("pixels.mean", PIXEL_MEAN)], "pixels.centred")
        return self._add("Div", [x, self._scalar("pixels.scale", PIXEL_SCALE)], "pixels")

    def add_block(self, x: str, block: Block, name: str) -> str:
        y = x
        if block.expand is not None:
            y = self.add_layer(y, block.expand, f"{name}.expand")
        y = self.add_layer(y, block.depthwise, f"{name}.depthwise")
        y = self.add_layer(y, block.project, f"{name}.project")
        return self._add("Add", [x, y], f"{name}.sum") if block.residual else y

    def add_layer(self, x: str, layer: Conv, name: str) -> str:
        before, after = same_padding(self._size, layer.kernel, layer.stride)
        self._size = -(-self._size // layer.stride)
        weight = self._half(f"{name}.weight", layer.weight.detach().numpy())
        bias = self._constant(f"{name}.bias", layer.bias.detach().numpy())
        x = self._add(
            "Conv",
            [x, weight, bias],
            name,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[before, before, after, after],
            group=layer.groups,
        )
        if not layer.activation:
            return x
        limits = [self._scalar(f"{name}.low", 0.0), self._scalar(f"{name}.high", 6.0)]
        return self._add("Clip", [x, *limits], f"{name}.relu6")

    def finish(self, x: str) -> bytes:
        grid = self._size - 1
        x = self._add("AveragePool", [x], "cells", kernel_shape=[2, 2], strides=[1, 1])
        shape = self._constant("cells.shape", np.array([0, FEATURES, grid * grid]))
        x = self._add("Reshape", [x, shape], "cells.flat")
        self._add("Transpose", [x], "regions", perm=[0, 2, 1])
        size = self._input_size
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0-grid",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])],
            [helper.make_tensor_value_info("regions", TensorProto.FLOAT, ["n", grid**2, FEATURES])],
            self._initializers,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="refine-itr",
            producer_version=__version__,
        )
        helper.set_model_props(model, {"name": graph.name, "input_size": str(size)})
        onnx.checker.check_model(model, full_check=True)
        serialized: bytes = model.SerializeToString()
        return serialized

    def _add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _half(self, name: str, array: npt.NDArray[np.float32]) -> str:
        half = self._constant(f"{name}.half", np.ascontiguousarray(array, dtype=np.float16))
        return self._add("Cast", [half], name, to=TensorProto.FLOAT)

    def _constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def _scalar(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, np.float32))
