"""Our GRU and the folded graph layers of training against PyTorch and the layers as written."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from refine_itr.bundle import ImageConfig
from refine_itr.training.gru import run_gru
from refine_itr.training.modules import GraphLayer, ImageEncoder


def _gradients(out: Tensor, wanted: list[Tensor], seed: int) -> tuple[Tensor, ...]:
    weight = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(seed))
    return torch.autograd.grad((out * weight).sum(), wanted)


def _packed(x: Tensor, lengths: list[int]) -> PackedSequence:
    return pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 5), st.integers(1, 4))
def test_states_and_gradients_are_those_of_pytorch(lengths: list[int], dim: int, n_in: int) -> None:
    torch.manual_seed(len(lengths))
    gru = nn.GRU(n_in, dim, batch_first=True).double()
    x = torch.randn(len(lengths), max(lengths), n_in, dtype=torch.double, requires_grad=True)
    expected = gru(_packed(x, lengths))[0].data
    packed = _packed(x, lengths)
    got = run_gru(gru, packed.data, packed.batch_sizes.tolist())
    torch.testing.assert_close(got, expected)
    wanted = [x, *gru.parameters()]
    for ours, theirs in zip(
        _gradients(got, wanted, 1), _gradients(expected, wanted, 1), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("graph", ["light-gcn", "vsrn-gcn"])
@pytest.mark.parametrize("scale_affinity", [True, False])
def test_a_folded_layer_has_the_values_and_gradients_of_the_written_one(
    graph: str, scale_affinity: bool
) -> None:
    torch.manual_seed(0)
    dim, regions = 6, 4
    image = ImageConfig(
        regions, 5, graph, 1, scale_affinity, True, False, "feature", "mean", 1, False
    )
    layer = GraphLayer(image, dim).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter))
    v = torch.randn(3, regions, dim, dtype=torch.double, requires_grad=True)
    assert 3 * regions > dim  # enough regions for the products of weights to pay
    got = layer(v)
    affinity = layer._affinity(v, fold=False) * layer.scale
    update = layer._project(affinity, v)
    expected = v + layer.bn(update.flatten(0, 1)).view_as(v)
    torch.testing.assert_close(got, expected)
    # BatchNorm takes away what biases of W_r add: their gradient is rounding around zero.
    wanted = [v, *(p for name, p in layer.named_parameters() if name != "r.bias")]
    for ours, theirs in zip(
        _gradients(got, wanted, 2), _gradients(expected, wanted, 2), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_single_picture_takes_the_layer_as_written() -> None:
    torch.manual_seed(0)
    image = ImageConfig(2, 5, "vsrn-gcn", 1, True, False, False, "feature", "mean", 1, False)
    layer = GraphLayer(image, 8)
    with torch.no_grad():
        layer.r.weight.normal_()
    v = torch.randn(1, 2, 8)
    relation = layer.theta(v) @ layer.phi(v).transpose(1, 2) / 2
    expected = v + layer.r(relation @ layer.g(v))
    torch.testing.assert_close(layer(v), expected)


@pytest.mark.parametrize("graph", ["light-gcn", "vsrn-gcn"])
def test_autocast_learns_in_bfloat16(graph: str) -> None:
    torch.manual_seed(0)
    image = ImageConfig(4, 5, graph, 1, True, True, False, "feature", "gru", 1, False)
    encoder = ImageEncoder(image, 8)
    regions = torch.rand(3, 4, 5)
    expected = encoder(regions)
    with torch.autocast("cpu", torch.bfloat16):
        got = encoder(regions)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, atol=0.03, rtol=0)
    got[:, 0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)
    assert encoder.fc.weight.grad is not None
