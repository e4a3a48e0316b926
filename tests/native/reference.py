"""The reference: PyTorch in float64, written as the papers have it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .arrays import F32, F64


def double(array: F32 | F64) -> torch.Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64))


def linear(x: F32 | F64, weight: F32, bias: F32) -> F64:
    return torch.nn.functional.linear(double(x), double(weight), double(bias)).numpy()


def l2norm(x: F32 | F64, axis: str) -> F64:
    """Over dim 1 (region) or dim 2 (feature) of (n, K, D), as VSRN; zeros where it has NaN."""
    values = double(x)
    norm = values.norm(dim={"region": 1, "feature": 2}[axis], keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(values), values / norm).numpy()


def light_gcn(v: F32 | F64, sigma: F32, g: tuple[F32, F32], r: tuple[F32, F32]) -> F64:
    """Equation 3 of Refine-ITR: V* = W_r(W_sigma (V V^T) g(V)) + V."""
    values = double(v)
    affinity = double(sigma) @ (values @ values.transpose(1, 2))
    return linear((affinity @ double(linear(v, *g))).numpy(), *r) + values.numpy()


def vsrn_gcn(
    v: F32 | F64,
    theta: tuple[F32, F32],
    phi: tuple[F32, F32],
    g: tuple[F32, F32],
    r: tuple[F32, F32],
    scale: float,
) -> F64:
    """VSRN: V* = W(R g(V)) + V with R = theta(V) phi(V)^T scale."""
    relation = double(linear(v, *theta)) @ double(linear(v, *phi)).transpose(1, 2) * scale
    return linear((relation @ double(linear(v, *g))).numpy(), *r) + double(v).numpy()


def gru(gates: F32 | F64, lengths: list[int], w_hh: F32, b_hh: F32, pooling: str) -> F64:
    """torch.nn.GRUCell over each sequence; `gates` are W_ih x + b_ih."""
    dim = w_hh.shape[1]
    cell = torch.nn.GRUCell(3 * dim, dim, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.eye(3 * dim, dtype=torch.float64))
        cell.bias_ih.zero_()
        cell.weight_hh.copy_(double(w_hh))
        cell.bias_hh.copy_(double(b_hh))
        out = torch.zeros(len(lengths), dim, dtype=torch.float64)
        for row, steps in enumerate(torch.split(double(gates), lengths)):
            state = torch.zeros(1, dim, dtype=torch.float64)
            total = torch.zeros_like(state)
            for step in steps:
                state = cell(step[None], state)
                total += state
            if len(steps):
                out[row] = state[0] if pooling == "last" else total[0] / len(steps)
    return out.numpy()


def pool_regions(regions: F64, top: int) -> F64:
    """Per feature the mean of the `top` largest over the regions of (b, K, D)."""
    return torch.topk(double(regions), top, dim=1).values.mean(dim=1).numpy()


def gpo(regions: F32 | F64, coefficients: F32) -> F64:
    """Per feature the values of (b, K, D) in descending order times the coefficients (K,)."""
    ordered = double(regions).sort(dim=1, descending=True).values
    return torch.einsum("bkd,k->bd", ordered, double(coefficients)).numpy()


def unit(x: F64) -> F64:
    return l2norm(x[:, None, :], "feature")[:, 0, :]


def iou(boxes: F32, inclusive: bool = False) -> NDArray[np.float64]:
    """Intersection over union of each pair of (p, 4) boxes."""
    b = boxes.astype(np.float64)
    b[:, 2:] += inclusive
    low = np.maximum(b[:, None, :2], b[None, :, :2])
    high = np.minimum(b[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area = np.prod(np.clip(b[:, 2:] - b[:, :2], 0, None), axis=1)
    union = area[:, None] + area[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
