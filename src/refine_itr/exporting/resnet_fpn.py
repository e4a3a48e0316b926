"""ResNet-50 with a feature pyramid, as nodes: torchvision's, with BatchNorm in both.

BatchNorm is folded into the convolution before it, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refine_itr.exporting.graph import GraphBuilder
from refine_itr.exporting.state import StateDict
from refine_itr.types import FloatArray

CHANNELS = 256  # of each map of the pyramid
LEVELS = 4  # maps from the pyramid itself; their cells have 4, 8, 16 and 32 pixels
_BLOCKS = (3, 4, 6, 3)
_EPS = 1e-5  # of torch.nn.BatchNorm2d


class Layers:
    """Adds layers with their weights to a graph."""

    def __init__(self, graph: GraphBuilder, state: StateDict) -> None:
        self.graph = graph
        self.state = state

    def conv(self, maps: Sequence[str], name: str, sizes: tuple[int, int, int]) -> list[str]:
        """Adds one convolution with a bias, to each of several maps.

        Args:
            maps: What goes in.
            name: Of the weights.
            sizes: Output channels, input channels, and the kernel's side.
        """
        n_out, n_in, kernel = sizes
        weight = self.state.take(f"{name}.weight", n_out, n_in, kernel, kernel)
        arrays = self._arrays(name, weight, self.state.take(f"{name}.bias", n_out))
        return [self._conv(x, arrays, f"{name}.{x}", kernel) for x in maps]

    def conv_bn(
        self, x: str, name: str, bn: str, sizes: tuple[int, int, int], *, stride: int = 1
    ) -> str:
        """Adds a convolution and the BatchNorm ``bn`` after it, see ``conv``."""
        n_out, n_in, kernel = sizes
        weight = self.state.take(f"{name}.weight", n_out, n_in, kernel, kernel).astype(np.float64)
        parts = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, mean, var = (
            self.state.take(f"{bn}.{part}", n_out).astype(np.float64) for part in parts
        )
        scale = gamma / np.sqrt(var + _EPS)
        folded = (weight * scale[:, None, None, None]).astype(np.float32)
        arrays = self._arrays(name, folded, (beta - mean * scale).astype(np.float32))
        return self._conv(x, arrays, f"{name}.out", kernel, stride)

    def linear(self, x: str, name: str, n_out: int, n_in: int) -> str:
        """Adds a linear layer."""
        weight = self.state.take(f"{name}.weight", n_out, n_in)
        arrays = self._arrays(name, weight, self.state.take(f"{name}.bias", n_out))
        return self.graph.add("Gemm", [x, *arrays], name, transB=1)

    def relu(self, x: str) -> str:
        """Adds a ReLU."""
        return self.graph.add("Relu", [x], f"{x}.relu")

    def _arrays(self, name: str, weight: FloatArray, bias: FloatArray) -> list[str]:
        constant = self.graph.constant
        return [constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)]

    def _conv(self, x: str, arrays: list[str], output: str, kernel: int, stride: int = 1) -> str:
        return self.graph.add(
            "Conv",
            [x, *arrays],
            output,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )


def add_body(layers: Layers, images: str) -> list[str]:
    """Adds ResNet-50; returns the maps of its four stages."""
    name = "backbone.body"
    x = layers.conv_bn(images, f"{name}.conv1", f"{name}.bn1", (64, 3, 7), stride=2)
    x = layers.graph.add(
        "MaxPool", [layers.relu(x)], "stem", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
    )
    maps, n_in = [], 64
    for stage, blocks in enumerate(_BLOCKS, 1):
        for block in range(blocks):
            width, stride = 32 << stage, 2 if stage > 1 and block == 0 else 1
            x = _bottleneck(layers, x, f"{name}.layer{stage}.{block}", n_in, width, stride)
            n_in = 4 * width
        maps.append(x)
    return maps


def add_pyramid(layers: Layers, maps: list[str]) -> list[str]:
    """Adds the pyramid; returns its maps ``map0`` to ``map3``."""
    name, graph = "backbone.fpn", layers.graph
    twice = graph.constant("twice", [1, 1, 2, 2])
    inner, out = "", [""] * LEVELS
    for level in reversed(range(LEVELS)):
        side = f"{name}.inner_blocks.{level}"
        lateral = layers.conv_bn(
            maps[level], f"{side}.0", f"{side}.1", (CHANNELS, CHANNELS << level, 1)
        )
        if inner:
            larger = graph.add(
                "Resize",
                [inner, "", twice],
                f"{side}.above",
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            lateral = graph.add("Add", [lateral, larger], f"{side}.sum")
        inner = lateral
        layer = f"{name}.layer_blocks.{level}"
        x = layers.conv_bn(inner, f"{layer}.0", f"{layer}.1", (CHANNELS, CHANNELS, 3))
        out[level] = graph.add("Identity", [x], f"map{level}")
    return out


def _bottleneck(layers: Layers, x: str, name: str, n_in: int, width: int, stride: int) -> str:
    y = layers.conv_bn(x, f"{name}.conv1", f"{name}.bn1", (width, n_in, 1))
    y = layers.conv_bn(
        layers.relu(y), f"{name}.conv2", f"{name}.bn2", (width, width, 3), stride=stride
    )
    y = layers.conv_bn(layers.relu(y), f"{name}.conv3", f"{name}.bn3", (4 * width, width, 1))
    if n_in != 4 * width:
        down = f"{name}.downsample"
        x = layers.conv_bn(x, f"{down}.0", f"{down}.1", (4 * width, n_in, 1), stride=stride)
    return layers.relu(layers.graph.add("Add", [x, y], f"{name}.sum"))
