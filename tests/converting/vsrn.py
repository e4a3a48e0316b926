"""VSRN's and VSE++'s forward passes in plain PyTorch, and their checkpoints on disk."""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

WORDS = ["<pad>", "<start>", "<end>", "<unk>", "a", "dog", "runs", ".", "can", "not", "n't", "``"]


def l2norm(x: Tensor) -> Tensor:
    """Over dimension 1, whichever that is, and without eps."""
    return x / x.pow(2).sum(dim=1, keepdim=True).sqrt()


class GraphReasoning(nn.Module):
    """One layer over (n, D, K); ``light`` adds the matrix that stands for theta and phi."""

    def __init__(self, dim: int, light: int | None, batch_norm: bool = True) -> None:
        super().__init__()
        self.g, self.theta, self.phi = (nn.Conv1d(dim, dim, 1) for _ in range(3))
        last = nn.Conv1d(dim, dim, 1)
        self.W = nn.Sequential(last, nn.BatchNorm1d(dim)) if batch_norm else last
        self.w_sigma = nn.Parameter(torch.randn(light, light) / light) if light else None

    def forward(self, v: Tensor) -> Tensor:
        if self.w_sigma is None:
            relation = self.theta(v).transpose(1, 2) @ self.phi(v)
        else:
            relation = self.w_sigma @ (v.transpose(1, 2) @ v)
        relation = relation / v.size(2)
        moved = relation @ self.g(v).transpose(1, 2)
        return self.W(moved.transpose(1, 2)) + v


class ImageSide(nn.Module):
    def __init__(
        self, features: int, dim: int, data_name: str, light: int | None = None, layers: int = 4
    ) -> None:
        super().__init__()
        self.fc = nn.Linear(features, dim)
        self.img_rnn = nn.GRU(dim, dim, 1, batch_first=True)
        self.layers = layers
        for i in range(1, layers + 1):
            setattr(self, f"Rs_GCN_{i}", GraphReasoning(dim, light))
        self.flickr = data_name == "f30k_precomp"
        if self.flickr:
            self.bn = nn.BatchNorm1d(dim)

    def forward(self, images: Tensor) -> Tensor:
        v = self.fc(images)
        v = v if self.flickr else l2norm(v)
        v = v.transpose(1, 2)
        for i in range(1, self.layers + 1):
            v = getattr(self, f"Rs_GCN_{i}")(v)
        _, last = self.img_rnn(l2norm(v.transpose(1, 2)))
        pooled = last[0]
        return l2norm(self.bn(pooled) if self.flickr else pooled)


class PlainImageSide(nn.Module):
    """VSE++ on one feature vector an image."""

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, dim)

    def forward(self, images: Tensor) -> Tensor:
        return l2norm(self.fc(images))


class TextSide(nn.Module):
    def __init__(self, words: int, dim: int, word_dim: int = 300, **gru: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, word_dim)
        self.rnn = nn.GRU(word_dim, dim, batch_first=True, **gru)

    def forward(self, tokens: Sequence[int]) -> Tensor:
        states, _ = self.rnn(self.embed(torch.tensor([tokens])))
        return l2norm(states[:, -1])[0]


def settle(*modules: nn.Module, seed: int = 0) -> None:
    """Gives every BatchNorm statistics and weights as of a trained model, and stops training."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: Tensor, low: float, high: float) -> None:
        tensor.data = low + (high - low) * torch.rand(tensor.shape, generator=generator)

    for module in (m for top in modules for m in top.modules()):
        if isinstance(module, nn.BatchNorm1d):
            uniform(module.weight, -1, 1)
            uniform(module.bias, -0.1, 0.1)
            uniform(module.running_mean, -0.1, 0.1)
            uniform(module.running_var, 0.5, 1.5)
        module.eval()


def save(path: Path, image: Any, text: Any, *, legacy: bool = False, **options: Any) -> Path:
    """Writes a checkpoint as VSRN's train.py does."""
    states = [s.state_dict() if isinstance(s, nn.Module) else s for s in (image, text)]
    opt = argparse.Namespace(**({"no_imgnorm": False, "use_abs": False} | options))
    saved = {"epoch": 7, "model": states, "best_rsum": 400.1, "opt": opt, "Eiters": 1000}
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    return path


def save_vocabulary(path: Path, words: Sequence[str] = WORDS, module: str = "__main__") -> Path:
    """Writes JSON, or a pickle byte by byte as Python 2 does: special tokens are byte strings."""
    if path.suffix == ".json":
        forward = {word: i for i, word in enumerate(words)}
        back = {str(i): word for word, i in forward.items()}
        path.write_text(json.dumps({"word2idx": forward, "idx2word": back, "idx": len(words)}))
        return path

    def text(word: str) -> bytes:
        raw = word.encode()
        if word.startswith("<"):
            return b"U" + bytes([len(raw)]) + raw
        return b"X" + len(raw).to_bytes(4, "little") + raw

    def number(i: int) -> bytes:
        return b"J" + i.to_bytes(4, "little")

    back = b"".join(number(i) + text(word) for i, word in enumerate(words))
    forward = b"".join(text(word) + number(i) for i, word in enumerate(words))
    path.write_bytes(
        b"\x80\x02c" + module.encode() + b"\nVocabulary\nq\x00)\x81q\x01}q\x02("
        b"U\x08idx2word}q\x03(" + back + b"u"
        b"U\x08word2idx}q\x04(" + forward + b"u"
        b"U\x03idx" + number(len(words)) + b"ub."
    )
    return path


def pickle_vocabulary(path: Path, protocol: int, words: Sequence[str] = WORDS) -> Path:
    """Writes a pickle of a class of that name with this Python."""
    module = types.ModuleType("vocab")
    vocabulary = type("Vocabulary", (), {"__module__": "vocab"})
    module.Vocabulary = vocabulary  # type: ignore[attr-defined]
    thing = vocabulary()
    thing.word2idx = {word: i for i, word in enumerate(words)}
    thing.idx2word = dict(enumerate(words))
    thing.idx = len(words)
    sys.modules["vocab"] = module
    try:
        path.write_bytes(pickle.dumps(thing, protocol))
    finally:
        del sys.modules["vocab"]
    return path
