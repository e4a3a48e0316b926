"""Losses on scores (n images, m sentences); ``owner`` (m,) names each sentence's image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def matches(owner: Tensor, images: int) -> Tensor:
    """The true pairs as a mask (images, m)."""
    return torch.arange(images)[:, None] == owner[None, :]


def hinge(scores: Tensor, owner: Tensor, *, margin: float, hardest: bool) -> Tensor:
    """Triplet hinge both ways, a mean over the sentences (VSE++, arXiv 1707.05612).

    Args:
        scores: (n, m) inner products.
        owner: (m,) each sentence's image.
        margin: By which a true pair must win.
        hardest: Count only the hardest negative in the batch, not the sum of all.
    """
    true = matches(owner, len(scores))
    positive = scores[owner, torch.arange(len(owner))]
    images = (margin - positive[None, :] + scores).masked_fill(true, 0.0).clamp(min=0.0)
    sentences = (margin - positive[:, None] + scores[owner]).masked_fill(true[owner], 0.0)
    sentences = sentences.clamp(min=0.0)
    if hardest:
        return (images.amax(0) + sentences.amax(1)).mean()
    return (images.sum(0) + sentences.sum(1)).mean()


def info_nce(scores: Tensor, image_targets: Tensor, sentence_targets: Tensor) -> Tensor:
    """Cross entropy of the ranking both ways.

    Args:
        scores: (n, m) inner products divided by the temperature.
        image_targets: (n, m): for each image a distribution over the sentences.
        sentence_targets: (n, m): for each sentence a distribution over the images.
    """
    i2t = -(image_targets * F.log_softmax(scores, 1)).sum(1).mean()
    t2i = -(sentence_targets * F.log_softmax(scores, 0)).sum(0).mean()
    return i2t + t2i


def hard_targets(owner: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """Targets for ``info_nce``: all sentences of an image alike, the one image of a sentence."""
    true = matches(owner, images).float()
    return true / true.sum(1, keepdim=True), true


def soft_targets(
    owner: Tensor, images: Tensor, sentences: Tensor, *, share: float, temperature: float
) -> tuple[Tensor, Tensor]:
    """Hard targets with a share of their mass spread by a teacher's opinion.

    A batch holds many near misses ("a dog runs" fits most pictures of dogs): the teacher knows
    them, and the student is not asked to push them away.

    Args:
        owner: (m,) each sentence's image.
        images: (n, T) the teacher's unit embedding of each image (the mean of its sentences').
        sentences: (m, T) the teacher's unit embedding of each sentence.
        share: Mass that is spread.
        temperature: Of the softmax over the teacher's similarities.
    """
    image_hard, sentence_hard = hard_targets(owner, len(images))
    opinion = images @ sentences.T / temperature
    return (
        torch.lerp(image_hard, opinion.softmax(1), share),
        torch.lerp(sentence_hard, opinion.softmax(0), share),
    )


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cosine distance of two (n, T)."""
    return (1.0 - F.cosine_similarity(student, teacher, dim=1)).mean()
