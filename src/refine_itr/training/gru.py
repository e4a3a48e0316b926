"""A GRU over sequences of different lengths, with a backward pass made for CPUs.

The gradient of ``torch.nn.GRU`` on packed sequences fills a tensor of all steps with zeros for
every step, and adds each step's product into the recurrent matrix. Here each step writes its own
rows, and one product over all steps makes the matrix's gradient: the same result to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def run_gru(gru: nn.GRU, x: Tensor, batch_sizes: Sequence[int]) -> Tensor:
    """All hidden states of packed sequences, with the parameters of a one-layer ``nn.GRU``.

    Args:
        gru: Gates in the order r, z, n; the state starts as zeros.
        x: (total, E): step by step, and in each step the sequences that are so long, longest first.
        batch_sizes: Sequences in each step, never rising; they add up to ``total``.

    Returns:
        (total, D) in the same order.
    """
    w_ih, w_hh, b_ih, b_hh = gru.parameters()
    inputs = F.linear(x, w_ih, b_ih)
    states: Tensor = _Gru.apply(inputs, w_hh, b_hh, batch_sizes)  # type: ignore[no-untyped-call]
    return states


class _Gru(torch.autograd.Function):
    """h' = n + z (h - n), n = tanh(x_n + r a_n), with a = W_hh h + b_hh (PyTorch's own form)."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, batch_sizes: Sequence[int]
    ) -> Tensor:
        """Steps through time; ``inputs`` (total, 3 D) are W_ih x + b_ih."""
        # Under autocast the products are in bfloat16, gates and states in full precision.
        inputs = inputs.to(weight.dtype)
        total, dim = len(inputs), weight.shape[1]
        states = inputs.new_empty(total, dim)
        gates = inputs.new_empty(total, 4 * dim)  # r, z, n, a_n
        state = inputs.new_zeros(batch_sizes[0], dim)
        start = 0
        for size in batch_sizes:
            rows = slice(start, start + size)
            state = state[:size]
            hidden = F.linear(state, weight, bias).to(inputs.dtype)
            r_z = torch.sigmoid(inputs[rows, : 2 * dim] + hidden[:, : 2 * dim])
            r, z = r_z.chunk(2, dim=1)
            n = torch.addcmul(inputs[rows, 2 * dim :], r, hidden[:, 2 * dim :]).tanh_()
            gates[rows] = torch.cat((r_z, n, hidden[:, 2 * dim :]), dim=1)
            state = torch.lerp(n, state, z)
            states[rows] = state
            start += size
        ctx.save_for_backward(states, gates, weight)
        ctx.batch_sizes = batch_sizes
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Steps back through time; the recurrent matrix gets one product at the end."""
        states, gates, weight = ctx.saved_tensors
        total, dim = states.shape
        grad_inputs, grad_hidden = (states.new_empty(total, 3 * dim) for _ in range(2))
        before = _states_before(states, ctx.batch_sizes)
        carried = states.new_zeros(0, dim)  # gradient by the states that the next step came from
        stop = total
        for size in reversed(ctx.batch_sizes):
            rows = slice(stop - size, stop)
            grad = grads[0][rows].clone()
            grad[: len(carried)] += carried
            r, z, n, a_n = gates[rows].chunk(4, dim=1)
            by_n = grad * (1 - z) * (1 - n * n)
            by_r = by_n * a_n * r * (1 - r)
            by_z = grad * (before[rows] - n) * z * (1 - z)
            grad_inputs[rows] = torch.cat((by_r, by_z, by_n), dim=1)
            grad_hidden[rows] = torch.cat((by_r, by_z, by_n * r), dim=1)
            carried = torch.addmm(grad * z, grad_hidden[rows], weight)
            stop -= size
        return grad_inputs, grad_hidden.T @ before, grad_hidden.sum(0), None


def _states_before(states: Tensor, batch_sizes: Sequence[int]) -> Tensor:
    """For each row of ``states`` the state one step before, zeros in the first step."""
    before = torch.zeros_like(states)
    start = 0
    for size, following in pairwise(batch_sizes):
        target = start + size
        before[target : target + following] = states[start : start + following]
        start = target
    return before
