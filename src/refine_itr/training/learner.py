"""What is trained: the late blocks of the backbone, both encoders, and the loss's parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from refine_itr.bundle import BundleConfig
from refine_itr.training.backbone import EfficientNetLite0, grid_regions
from refine_itr.training.modules import Encoders
from refine_itr.training.objective import Objective
from refine_itr.training.recipe import Recipe

_BACKBONE_RAMP_EPOCHS = 0.5


class Learner(nn.Module):
    """Cached maps (or ready-made features) and sentences to embeddings, and their loss.

    Args:
        recipe: The choices.
        config: The architecture.
        backbone: The detector's network, or None when features come ready-made.
    """

    def __init__(
        self, recipe: Recipe, config: BundleConfig, backbone: EfficientNetLite0 | None
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.config = config
        self.backbone = backbone
        self.encoders = Encoders(config, dropout=recipe.dropout)
        self.objective = Objective(recipe)
        self.requires_grad_(True)
        if backbone is not None:
            backbone.requires_grad_(False)
            for parameter in self._backbone_parameters():
                parameter.requires_grad_(True)
        if recipe.embedding_rate == 0:
            self.encoders.text.embedding.requires_grad_(False)

    def regions(self, loaded: Tensor) -> Tensor:
        """Region features (n, K, C) of what a cache or table loaded."""
        if self.backbone is None:
            return loaded
        if not self.recipe.fine_tune:
            return grid_regions(loaded.float())
        return grid_regions(self.backbone.tail(loaded.float(), self.recipe.frozen_blocks))

    def parameter_groups(self) -> list[dict[str, object]]:
        """Groups for AdamW; ``role`` decides the learning rate, see ``learning_rates``."""
        backbone = list(self._backbone_parameters())
        words = [p for p in self.encoders.text.embedding.parameters() if p.requires_grad]
        apart = {id(p) for p in (*backbone, *words)}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in apart]
        decay = self.recipe.weight_decay
        groups: list[dict[str, object]] = [
            {"role": "encoders", "params": _of(rest, matrix=True), "weight_decay": decay},
            {"role": "encoders", "params": _of(rest, matrix=False), "weight_decay": 0.0},
            {"role": "backbone", "params": _of(backbone, matrix=True), "weight_decay": decay},
            {"role": "backbone", "params": _of(backbone, matrix=False), "weight_decay": 0.0},
            {"role": "words", "params": words, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def _backbone_parameters(self) -> Iterable[nn.Parameter]:
        if self.backbone is None or not self.recipe.fine_tune:
            return ()
        return self.backbone.pointwise_parameters(self.recipe.frozen_blocks)


def learning_rates(recipe: Recipe, epoch: float) -> dict[str, float]:
    """Rate of each role ``epoch`` (with fraction) epochs into the run: warm-up, then cosine."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, epoch / recipe.epochs)))
    warm = min(1.0, epoch / recipe.warmup_epochs) if recipe.warmup_epochs else 1.0
    ramp = min(1.0, max(0.0, (epoch - recipe.backbone_delay) / _BACKBONE_RAMP_EPOCHS))
    return {
        "encoders": recipe.learning_rate * warm * cosine,
        "words": recipe.embedding_rate * warm * cosine,
        "backbone": recipe.backbone_rate * ramp * cosine,
    }


class Average:
    """Moving average of a learner's weights; its ``model`` is what is measured and exported."""

    def __init__(self, learner: Learner, decay: float) -> None:
        self.model = copy.deepcopy(learner).requires_grad_(False).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, learner: Learner, steps: int) -> None:
        """Moves towards the learner after its step number ``steps`` (from 1)."""
        # At first a shorter average: the random start has nothing to say.
        decay = min(self._decay, steps / (steps + 9))
        trained = dict(learner.named_parameters())
        for name, mean in self.model.named_parameters():
            if trained[name].requires_grad:
                mean.lerp_(trained[name], 1.0 - decay)
        for average, value in zip(self.model.buffers(), learner.buffers(), strict=True):
            average.copy_(value)


def _of(parameters: Iterable[nn.Parameter], *, matrix: bool) -> list[nn.Parameter]:
    return [p for p in parameters if (p.ndim > 1) == matrix]
