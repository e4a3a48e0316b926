"""Generalised pooling (GPO; Chen et al., CVPR 2021, arXiv 2011.04305), as it is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

# The paper's sizes, and the temperature of its published code.
_ENCODING_DIM = 32
_HIDDEN_DIM = 32
_TEMPERATURE = 0.1
_LONGEST_WAVE = 10_000.0


class GeneralizedPooling(nn.Module):
    """For each feature the sum over k of coefficient k times the k-th largest value of a set.

    The coefficients add up to one. A GRU in both directions makes them from encodings of the
    places 1 .. m, so they depend on the size m of the set alone and every size has its own: the
    mean (all alike) and the maximum (one and zeros) are among them. It starts as the mean.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(_ENCODING_DIM, _HIDDEN_DIM, batch_first=True, bidirectional=True)
        self.score = nn.Linear(_HIDDEN_DIM, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, v: Tensor, keep: Tensor | None = None) -> Tensor:
        """Pools (n, K, D) to (n, D); ``keep`` (n, K) is zero for what is not in the set.

        An empty set gives zeros.
        """
        n, regions, _ = v.shape
        sizes = torch.full((n,), regions) if keep is None else (keep != 0).sum(1)
        if keep is not None:
            v = v.masked_fill((keep == 0)[:, :, None], -torch.inf)
        ordered = v.sort(dim=1, descending=True).values
        if keep is not None:
            beyond = torch.arange(regions) >= sizes[:, None]
            ordered = ordered.masked_fill(beyond[:, :, None], 0.0)
        different, row = torch.unique(sizes.clamp(min=1), return_inverse=True)
        coefficients = self.coefficients(different, regions)[row]
        # No product of matrices, which autocast would round to bfloat16.
        return (ordered * coefficients[:, :, None]).sum(1)

    def coefficients(self, sizes: Tensor, width: int) -> Tensor:
        """Coefficients (n, ``width``) of sets of ``sizes`` (n,), 1 to ``width``; zeros beyond."""
        with torch.autocast("cpu", enabled=False):
            places = _encodings(width).to(self.score.weight).expand(len(sizes), -1, -1)
            packed = pack_padded_sequence(places, sizes, batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(
                self.gru(packed)[0], batch_first=True, total_length=width
            )
            forwards, backwards = states.chunk(2, dim=2)
            scores = self.score((forwards + backwards) / 2)[:, :, 0] / _TEMPERATURE
            beyond = torch.arange(width) >= sizes[:, None]
            coefficients: Tensor = scores.masked_fill(beyond, -torch.inf).softmax(1)
            return coefficients


def _encodings(count: int) -> Tensor:
    """Sines and cosines of each place at wave lengths that rise geometrically, (count, 32)."""
    exponents = torch.arange(0, _ENCODING_DIM, 2, dtype=torch.float64) / _ENCODING_DIM
    angles = torch.arange(count, dtype=torch.float64)[:, None] / _LONGEST_WAVE**exponents
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)
