"""The whole loss of a batch: contrastive, and what the sentence model adds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from refine_itr.training import losses
from refine_itr.training.recipe import Recipe
from refine_itr.training.teacher import EMBEDDING_DIM

_MAX_LOG_SCALE = math.log(200.0)


class Objective(nn.Module):
    """Loss with its own parameters: InfoNCE's temperatures, the map into the teacher's space.

    One map serves images and sentences, so that both are drawn to the same place.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.log_scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
        self.teacher_log_scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
        self.to_teacher = nn.Linear(recipe.dim, EMBEDDING_DIM, bias=False)

    def forward(
        self,
        images: Tensor,
        sentences: Tensor,
        owner: Tensor,
        teacher: tuple[Tensor, Tensor] | None,
        epoch: int,
    ) -> Tensor:
        """Loss of a batch, a scalar.

        Args:
            images: (n, D) unit embeddings.
            sentences: (m, D) unit embeddings.
            owner: (m,) each sentence's image in the batch.
            teacher: The sentence model's unit embeddings of the images (n, T) and of the
                sentences (m, T).
            epoch: Finished epochs.
        """
        recipe = self.recipe
        targets = self._targets(owner, len(images), teacher)
        scores = images @ sentences.T
        if recipe.loss == "hinge":
            hardest = epoch >= recipe.hinge_warmup_epochs
            loss = losses.hinge(scores, owner, margin=recipe.margin, hardest=hardest)
        else:
            loss = losses.info_nce(scores * _scale(self.log_scale), *targets)
        if teacher is None:
            return loss
        mapped = self.to_teacher(images)
        # Without the detour over the sentence encoder, whose errors the images would learn.
        scores = F.normalize(mapped, dim=1) @ teacher[1].T
        contrast = losses.info_nce(scores * _scale(self.teacher_log_scale), *targets)
        image_loss = losses.distillation(mapped, teacher[0])
        text_loss = losses.distillation(self.to_teacher(sentences), teacher[1])
        return (
            loss
            + recipe.teacher_contrast * contrast
            + recipe.distill_image * image_loss
            + recipe.distill_text * text_loss
        )

    def _targets(
        self, owner: Tensor, images: int, teacher: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        if teacher is None:
            return losses.hard_targets(owner, images)
        recipe = self.recipe
        return losses.soft_targets(
            owner, *teacher, share=recipe.soft_targets, temperature=recipe.soft_temperature
        )


def _scale(log_scale: Tensor) -> Tensor:
    return log_scale.clamp(max=_MAX_LOG_SCALE).exp()
