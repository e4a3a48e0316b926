"""The whole loss of a batch: contrastive, and what the sentence model adds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from refine_itr.training import losses
from refine_itr.training.recipe import Recipe
from refine_itr.training.teacher import EMBEDDING_DIM

_MAX_LOG_SCALE = math.log(200.0)


class Objective(nn.Module):
    """Loss with its own parameters: InfoNCE's temperature, the map into the teacher's space.

    One map serves images and sentences, so that both are drawn to the same place.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.log_scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
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
        loss = self._contrastive(images @ sentences.T, owner, teacher, epoch)
        if teacher is not None:
            recipe = self.recipe
            image_loss = losses.distillation(self.to_teacher(images), teacher[0])
            text_loss = losses.distillation(self.to_teacher(sentences), teacher[1])
            loss = loss + recipe.distill_image * image_loss + recipe.distill_text * text_loss
        return loss

    def _contrastive(
        self,
        scores: Tensor,
        owner: Tensor,
        teacher: tuple[Tensor, Tensor] | None,
        epoch: int,
    ) -> Tensor:
        recipe = self.recipe
        if recipe.loss == "hinge":
            hardest = epoch >= recipe.hinge_warmup_epochs
            return losses.hinge(scores, owner, margin=recipe.margin, hardest=hardest)
        if teacher is None:
            targets = losses.hard_targets(owner, len(scores))
        else:
            targets = losses.soft_targets(
                owner,
                *teacher,
                share=recipe.soft_targets,
                temperature=recipe.soft_temperature,
            )
        scale = self.log_scale.clamp(max=_MAX_LOG_SCALE).exp()
        return losses.info_nce(scores * scale, *targets)
