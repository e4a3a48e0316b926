"""GPO in PyTorch: its coefficients, sets of any size, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from refine_itr.training.pooling import GeneralizedPooling


def random_pooling() -> GeneralizedPooling:
    torch.manual_seed(0)
    pooling = GeneralizedPooling().double()
    torch.nn.init.normal_(pooling.score.weight)
    return pooling


def plain_coefficients(pooling: GeneralizedPooling, size: int) -> Tensor:
    """Section 3.2 of the paper, one set and one number at a time."""
    places = torch.zeros(1, size, 32, dtype=torch.float64)
    for place in range(size):
        for i in range(16):
            angle = place / 10_000 ** (i / 16)
            places[0, place, 2 * i] = math.sin(angle)
            places[0, place, 2 * i + 1] = math.cos(angle)
    states, _ = pooling.gru(places)
    score = (states[0, :, :32] + states[0, :, 32:]) / 2 @ pooling.score.weight[0]
    return torch.softmax(score / 0.1, 0)


@torch.no_grad()
def test_coefficients_depend_on_the_size_alone() -> None:
    pooling = random_pooling()
    sizes = torch.tensor([5, 1, 9, 5])
    coefficients = pooling.coefficients(sizes, 9)
    for row, size in zip(coefficients, sizes.tolist(), strict=True):
        torch.testing.assert_close(row[:size], plain_coefficients(pooling, size))
        assert not row[size:].any()
    assert (coefficients[0] - coefficients[2]).abs().max() > 0.01


@torch.no_grad()
def test_it_sums_sorted_values() -> None:
    pooling, v = random_pooling(), torch.randn(4, 7, 5, dtype=torch.float64)
    expected = torch.einsum("ndk,k->nd", v.mT.sort(2, True)[0], plain_coefficients(pooling, 7))
    torch.testing.assert_close(pooling(v), expected)
    torch.testing.assert_close(pooling(v[:, torch.randperm(7)]), expected)


@torch.no_grad()
def test_what_is_dropped_is_not_in_the_set() -> None:
    pooling, v = random_pooling(), torch.randn(30, 7, 5, dtype=torch.float64)
    keep = (torch.rand(30, 7) < 0.5).float()
    keep[0] = 0
    assert len(torch.unique(keep.sum(1))) > 4
    pooled = pooling(v, keep)
    assert not pooled[0].any()
    for one, kept, out in zip(v[1:], keep[1:], pooled[1:], strict=True):
        torch.testing.assert_close(out, pooling(one[None, kept.bool()])[0])


def test_it_starts_as_the_mean() -> None:
    v = torch.randn(3, 6, 5)
    torch.testing.assert_close(GeneralizedPooling()(v), v.mean(1))


@pytest.mark.parametrize("dropping", [False, True])
def test_it_learns_the_maximum(dropping: bool) -> None:
    torch.manual_seed(1)
    pooling = GeneralizedPooling()
    optimizer = torch.optim.AdamW(pooling.parameters(), 0.01)
    losses = []
    for _ in range(60):
        v = torch.randn(16, 12, 8)
        keep = (torch.rand(16, 12) < 0.8).float() if dropping else None
        target = v if keep is None else v.masked_fill(keep[:, :, None] == 0, -torch.inf)
        loss = (pooling(v, keep) - target.amax(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in pooling.parameters())
    with torch.no_grad():
        assert pooling.coefficients(torch.tensor([12]), 12)[0, 0] > 0.8
