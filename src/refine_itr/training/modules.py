"""The encoders in PyTorch: what is trained, and the reference of the native kernels' tests.

The states carry the names of ``refine_itr.bundle.schema`` but for what ``bundle_weights`` maps.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from refine_itr.bundle import BundleConfig, ImageConfig, TextConfig
from refine_itr.training.gru import run_gru
from refine_itr.training.pooling import GeneralizedPooling

_NORM_DIM = {"region": 1, "feature": 2}


def l2norm(x: Tensor, axis: str) -> Tensor:
    """Normalises (n, K, D) over "region" or "feature"; "none" leaves it. Zeros stay zeros."""
    return x if axis == "none" else F.normalize(x, dim=_NORM_DIM[axis])


class GraphLayer(nn.Module):
    """One graph layer on V (n, K, D), no softmax and no ReLU anywhere.

    Light-GCN (Refine-ITR, equation 3): ``V* = BN(W_r(A V W_g)) + V`` with ``A = W_sigma V V^T``.
    VSRN-GCN (VSRN, ICCV 2019): the same with ``A = theta(V) phi(V)^T``.

    A large batch first multiplies the weights that follow each other without anything between
    them (the algebra of ``refine_itr.encoding.folding``): the same function and gradients, to
    rounding, for half of the products.
    """

    def __init__(self, config: ImageConfig, dim: int) -> None:
        super().__init__()
        self.scale = 1.0 / config.regions if config.scale_affinity else 1.0
        self.light = config.graph == "light-gcn"
        if self.light:
            # Identity: at first each region takes from others by plain similarity.
            self.sigma = nn.Parameter(torch.eye(config.regions))
        else:
            self.theta = nn.Linear(dim, dim)
            self.phi = nn.Linear(dim, dim)
        self.g = nn.Linear(dim, dim)
        self.r = nn.Linear(dim, dim)
        self.bn = nn.BatchNorm1d(dim) if config.batch_norm else None
        # The layer starts as the identity, as in VSRN's code.
        last = self.r if self.bn is None else self.bn
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, v: Tensor) -> Tensor:
        """Maps (n, K, D) to the same shape."""
        # Products of two weights cost D rows, and then save one row for each region.
        fold = v.shape[0] * v.shape[1] > v.shape[2]
        affinity = self._affinity(v, fold) * self.scale
        update = (self._fold_project if fold else self._project)(affinity, v).to(v.dtype)
        if self.bn is not None:
            update = self.bn(update.flatten(0, 1)).view_as(v)
        return v + update

    def _affinity(self, v: Tensor, fold: bool) -> Tensor:
        """(n, K, K)."""
        if self.light:
            light: Tensor = self.sigma @ (v @ v.transpose(1, 2))
            return light
        if not fold:
            affinity: Tensor = self.theta(v) @ self.phi(v).transpose(1, 2)
            return affinity
        # theta(V) phi(V)^T = (V M + 1 w^T) V^T + (V u + c) 1^T
        theta, phi = self.theta, self.phi
        m_transposed = phi.weight.T @ theta.weight
        left = F.linear(v, m_transposed, phi.weight.T @ theta.bias)
        column = F.linear(v, theta.weight.T @ phi.bias, theta.bias @ phi.bias)
        return left @ v.transpose(1, 2) + column[:, :, None]

    def _project(self, affinity: Tensor, v: Tensor) -> Tensor:
        projected: Tensor = self.r(affinity @ self.g(v))
        return projected

    def _fold_project(self, affinity: Tensor, v: Tensor) -> Tensor:
        """``_project`` as (A V) F^T + (A 1) f^T + b_r, with F = W_r W_g and f = W_r b_g."""
        g, r = self.g, self.r
        projected = F.linear(affinity @ v, r.weight @ g.weight, r.bias)
        return projected + affinity.sum(2, keepdim=True) * (r.weight @ g.bias)


class ImageEncoder(nn.Module):
    """Regions (n, K, C) to unit embeddings (n, D).

    Args:
        config: The architecture.
        dim: D.
        dropout: Share of the region features zeroed in training.
    """

    def __init__(self, config: ImageConfig, dim: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.dropout = dropout
        self.fc = nn.Linear(config.features, dim)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        self.graph = nn.ModuleList(GraphLayer(config, dim) for _ in range(config.layers))
        self.gru = nn.GRU(dim, dim, batch_first=True) if config.pooling == "gru" else None
        self.gpo = GeneralizedPooling() if config.pooling == "gpo" else None
        self.bn = nn.BatchNorm1d(dim) if config.embedding_batch_norm else None

    def forward(self, regions: Tensor, keep: Tensor | None = None) -> Tensor:
        """Embeds regions; ``keep`` (n, K) is zero for regions dropped in training."""
        # Under autocast the layers multiply in bfloat16; sums and norms stay in full precision.
        v = self.fc(F.dropout(regions, self.dropout, self.training)).to(self.fc.weight.dtype)
        if keep is not None:
            v = v * keep[:, :, None]
        if self.config.normalize_projection:
            v = l2norm(v, self.config.norm_axis)
        for layer in self.graph:
            v = layer(v)
        embedding = self._pool(l2norm(v, self.config.norm_axis), keep).to(v.dtype)
        if self.bn is not None:
            embedding = self.bn(embedding)
        return F.normalize(embedding, dim=1)

    def _pool(self, v: Tensor, keep: Tensor | None) -> Tensor:
        if self.gru is not None:
            n, regions, _ = v.shape
            steps = v.transpose(0, 1).flatten(0, 1)
            return run_gru(self.gru, steps, [n] * regions)[-n:]
        if self.gpo is not None:
            pooled: Tensor = self.gpo(v, keep)
            return pooled
        if self.config.pooling == "mean":
            return v.mean(1)
        return v.topk(self.config.pool_top, dim=1).values.mean(1)


class TextEncoder(nn.Module):
    """Padded token ids (n, T) to unit embeddings (n, D).

    Args:
        config: The architecture.
        dim: D.
        dropout: Share of the word vectors' features zeroed in training; a third of it on the
            pooled state.
    """

    def __init__(self, config: TextConfig, dim: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.dropout = dropout
        self.embedding = nn.Embedding(config.vocabulary, config.word_dim)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # VSRN's and VSE++'s choice
        self.gru = nn.GRU(config.word_dim, dim, batch_first=True)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Embeds sentences; ``lengths`` (n,) int64 on the CPU, each at least 1."""
        words = F.dropout(self.embedding(tokens), self.dropout, self.training)
        packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        states = run_gru(self.gru, packed.data, packed.batch_sizes.tolist())
        padded, _ = pad_packed_sequence(packed._replace(data=states), batch_first=True)
        if self.config.pooling == "last":
            pooled = padded[torch.arange(len(padded)), lengths - 1]
        else:
            pooled = padded.sum(1) / lengths[:, None].to(padded)
        pooled = F.dropout(pooled, self.dropout / 3, self.training)
        return F.normalize(pooled.to(self.embedding.weight.dtype), dim=1)


class Encoders(nn.Module):
    """Both encoders of one model."""

    def __init__(self, config: BundleConfig, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.image = ImageEncoder(config.image, config.dim, dropout=dropout)
        self.text = TextEncoder(config.text, config.dim, dropout=dropout)


def bundle_weights(encoders: Encoders) -> dict[str, Tensor]:
    """The state under the bundle's names: a GRU's without "_l0", BatchNorm's without counters.

    Instead of what generates GPO's coefficients those for K regions are there.
    """
    weights = {
        name.removesuffix("_l0"): tensor
        for name, tensor in encoders.state_dict().items()
        if not name.endswith("num_batches_tracked") and not name.startswith("image.gpo.")
    }
    image = encoders.image
    if image.gpo is not None:
        regions = image.config.regions
        coefficients = image.gpo.coefficients(torch.tensor([regions]), regions)[0]
        weights["image.gpo.coefficients"] = coefficients.detach()
    return weights


def load_bundle_weights(encoders: Encoders, weights: Mapping[str, Tensor]) -> None:
    """Sets the state from tensors under the bundle's names; the inverse of ``bundle_weights``.

    Not for GPO, whose coefficients do not tell what generated them.
    """
    state = encoders.state_dict()
    names = {name.removesuffix("_l0"): name for name in state}
    encoders.load_state_dict({**state, **{names[name]: w for name, w in weights.items()}})
