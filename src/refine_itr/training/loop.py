"""The training loop: epochs, measuring, checkpoints, and going on after an interruption."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from refine_itr.errors import RefineItrError
from refine_itr.evaluation import Recalls
from refine_itr.training.augment import drop_words, keep_regions
from refine_itr.training.batches import Batch, plan_epoch
from refine_itr.training.checkpoint import (
    Position,
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
)
from refine_itr.training.learner import Average, learning_rates
from refine_itr.training.measure import recalls
from refine_itr.training.prepare import Prepared

LAST = "last.pt"
BEST = "best.pt"
METRICS = "metrics.jsonl"
_BETAS = (0.9, 0.98)


class Trainer:
    """One run in one folder: ``last.pt``, ``best.pt``, ``metrics.jsonl``.

    With the same data, recipe, thread count, PyTorch and kind of CPU two runs give the same
    weights bit for bit, and so does a run that was stopped and resumed.

    Args:
        prepared: Data and model.
        out: The run's folder.
        on_step: Called after each step with the epoch, its finished steps and all its steps.
        on_epoch: Called after each measurement with its line of the metrics.
        should_stop: Asked after each step; when true, a checkpoint is saved and ``run`` returns.
        checkpoint_steps: Steps between two checkpoints within an epoch.
    """

    def __init__(
        self,
        prepared: Prepared,
        out: Path,
        *,
        on_step: Callable[[int, int, int], None],
        on_epoch: Callable[[dict[str, Any]], None],
        should_stop: Callable[[], bool] = lambda: False,
        checkpoint_steps: int = 500,
    ) -> None:
        self._data = prepared
        self._recipe = prepared.recipe
        self._out = out
        self._on_step = on_step
        self._on_epoch = on_epoch
        self._should_stop = should_stop
        self._checkpoint_steps = checkpoint_steps
        self._members = prepared.train.members()
        self._position = Position()
        random.seed(self._recipe.seed)
        np.random.seed(self._recipe.seed)
        torch.manual_seed(self._recipe.seed)
        self._learner = prepared.learner
        self._average = Average(self._learner, self._recipe.ema_decay)
        self._optimizer = torch.optim.AdamW(
            self._learner.parameter_groups(), betas=_BETAS, fused=True
        )

    def resume(self) -> None:
        """Goes on from the folder's last checkpoint.

        Raises:
            RefineItrError: There is none, or another recipe or other data made it.
        """
        state = load_checkpoint(self._out / LAST)
        if state["identity"] != self._identity():
            raise RefineItrError(
                f"{self._out / LAST}: expected the recipe and data of the run to resume; "
                "they have changed"
            )
        self._learner.load_state_dict(state["learner"])
        self._average.model.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._position = Position(**state["position"])
        set_random_state(state["random"])
        self._trim_metrics()

    def run(self) -> bool:
        """Trains to the last epoch; False if it was asked to stop before."""
        position = self._position
        while position.epoch < self._recipe.epochs:
            plan = plan_epoch(
                self._members, self._data.train_views.views, self._recipe, position.epoch
            )
            if not self._train_epoch(plan):
                return False
            loss, seconds = position.loss_sum / len(plan), position.seconds
            position.epoch, position.step = position.epoch + 1, 0
            position.loss_sum = position.seconds = 0.0
            self._log(loss, self._keep_epoch(), seconds)
            self._save()
        return True

    def _train_epoch(self, plan: list[Batch]) -> bool:
        position = self._position
        self._learner.train()
        while position.step < len(plan):
            started = time.perf_counter()
            position.loss_sum += self._train_step(plan[position.step], len(plan))
            position.seconds += time.perf_counter() - started
            position.step += 1
            self._on_step(position.epoch, position.step, len(plan))
            stop = self._should_stop()
            if stop or position.step % self._checkpoint_steps == 0:
                self._save()
            if stop:
                return False
        return True

    def _train_step(self, batch: Batch, steps_per_epoch: int) -> float:
        position = self._position
        self._set_rates(position.epoch + position.step / steps_per_epoch)
        loss = self._loss(batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [p for p in self._learner.parameters() if p.requires_grad]
        nn.utils.clip_grad_norm_(trained, self._recipe.clip)
        self._optimizer.step()
        steps = position.epoch * steps_per_epoch + position.step + 1
        self._average.update(self._learner, steps)
        return loss.item()

    def _loss(self, batch: Batch) -> torch.Tensor:
        recipe, data = self._recipe, self._data
        tokens, lengths = data.train_tokens.load(batch.sentences)
        tokens = drop_words(tokens, recipe.drop_words)
        loaded = data.train_views.load(batch.images, batch.views)
        keep = keep_regions(
            len(batch.images), self._learner.config.image.regions, recipe.drop_regions
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            # No gradient for a backbone at rest: half of the time.
            with torch.set_grad_enabled(self._backbone_learns()):
                regions = self._learner.regions(loaded)
            images = self._learner.encoders.image(regions, keep)
            sentences = self._learner.encoders.text(tokens, lengths)
        teacher = data.knowledge.of(batch) if data.knowledge else None
        owner = torch.from_numpy(batch.owner)
        loss: torch.Tensor = self._learner.objective(
            images, sentences, owner, teacher, self._position.epoch
        )
        return loss

    def _backbone_learns(self) -> bool:
        return any(g["lr"] > 0 for g in self._optimizer.param_groups if g["role"] == "backbone")

    def _set_rates(self, epoch: float) -> None:
        rates = learning_rates(self._recipe, epoch)
        for group in self._optimizer.param_groups:
            group["lr"] = rates[group["role"]]

    def _keep_epoch(self) -> Recalls | None:
        """Saves the weights if they are the ones to export so far; returns what was measured."""
        position, data = self._position, self._data
        if self._recipe.keep_epoch == "last":
            if position.epoch == self._recipe.epochs:
                self._save_best()
            return None
        result = recalls(self._average.model, data.val, data.val_views, data.val_tokens)
        if result.rsum > position.best_rsum:
            position.best_rsum = result.rsum
            self._save_best()
        return result

    def _save_best(self) -> None:
        self._position.best_epoch = self._position.epoch
        save_checkpoint(self._out / BEST, {"learner": self._average.model.state_dict()})

    def _log(self, loss: float, result: Recalls | None, seconds: float) -> None:
        line: dict[str, Any] = {"epoch": self._position.epoch, "loss": round(loss, 4)}
        if result is not None:
            line |= {**result.to_json(), "best_epoch": self._position.best_epoch}
        line["seconds"] = round(seconds, 1)
        with (self._out / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._on_epoch(line)

    def _trim_metrics(self) -> None:
        """Drops lines of epochs after the checkpoint: they will be trained again."""
        path = self._out / METRICS
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        kept = lines[: self._position.epoch]
        path.write_text("".join(f"{line}\n" for line in kept), "utf-8")

    def _save(self) -> None:
        state = {
            "identity": self._identity(),
            "learner": self._learner.state_dict(),
            "average": self._average.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "position": dataclasses.asdict(self._position),
            "random": random_state(),
        }
        save_checkpoint(self._out / LAST, state)

    def _identity(self) -> dict[str, Any]:
        train = self._data.train
        data = [self._data.train_views.fingerprint, train.sentences, train.owner.tolist()]
        return {
            "recipe": dataclasses.asdict(self._recipe),
            "data": hashlib.sha256(json.dumps(data).encode()).hexdigest(),
        }
