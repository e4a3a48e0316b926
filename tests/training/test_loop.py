"""Runs on random features: resuming, determinism, schedules, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from refine_itr.errors import InvalidInputError, RefineItrError
from refine_itr.training.augment import drop_words, keep_regions
from refine_itr.training.batches import plan_epoch
from refine_itr.training.checkpoint import load_checkpoint, random_state, set_random_state
from refine_itr.training.features import FeatureTable
from refine_itr.training.learner import Average, learning_rates
from refine_itr.training.loop import BEST, LAST, METRICS, Trainer
from refine_itr.training.prepare import Prepared
from refine_itr.training.recipe import Recipe, read_recipe

Prepare = Callable[..., Prepared]


def train(
    prepared: Prepared, out: Path, *, resume: bool = False, stop_after: int | None = None
) -> bool:
    """Trains; with ``stop_after`` asks for a stop after so many steps."""
    out.mkdir(exist_ok=True)
    steps: list[int] = []
    trainer = Trainer(
        prepared,
        out,
        on_step=lambda _, step, __: steps.append(step),
        on_epoch=lambda _: None,
        should_stop=lambda: len(steps) == stop_after,
        checkpoint_steps=2,
    )
    if resume:
        trainer.resume()
    return trainer.run()


def weights(out: Path, name: str = LAST) -> dict[str, torch.Tensor]:
    state = load_checkpoint(out / name)
    found: dict[str, torch.Tensor] = state.get("average") or state["learner"]
    return found


def metrics(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / METRICS).read_text("utf-8").splitlines()]
    for line in lines:
        del line["seconds"]
    return lines


def assert_same(ours: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == others.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, others[name]), name


@pytest.mark.parametrize("loss", ["info-nce", "hinge"])
def test_two_runs_give_the_same_bits(prepared_features: Prepare, tmp_path: Path, loss: str) -> None:
    for name in ("a", "b"):
        assert train(prepared_features(loss=loss, precision="bfloat16"), tmp_path / name)
    assert_same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert_same(weights(tmp_path / "a", BEST), weights(tmp_path / "b", BEST))
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")


def test_another_seed_gives_other_weights(prepared_features: Prepare, tmp_path: Path) -> None:
    for seed in (0, 1):
        train(prepared_features(seed=seed), tmp_path / str(seed))
    fc = "encoders.image.fc.weight"
    assert not torch.equal(weights(tmp_path / "0")[fc], weights(tmp_path / "1")[fc])


@pytest.mark.parametrize("stop_after", [1, 3, 5])  # 3 steps an epoch: within and between epochs
@pytest.mark.parametrize("pooling", ["mean", "gpo"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    prepared_features: Prepare, tmp_path: Path, stop_after: int, pooling: str
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(prepared_features(epochs=3, pooling=pooling), whole)
    assert not train(prepared_features(epochs=3, pooling=pooling), parts, stop_after=stop_after)
    torch.rand(7)  # whatever happens in between
    assert train(prepared_features(epochs=3, pooling=pooling), parts, resume=True)
    assert_same(weights(whole), weights(parts))
    assert_same(weights(whole, BEST), weights(parts, BEST))
    assert metrics(whole) == metrics(parts)


def test_training_lowers_the_loss_and_keeps_the_best_epoch(
    prepared_features: Prepare, tmp_path: Path
) -> None:
    recipe = {"epochs": 12, "dropout": 0.0, "drop_words": 0.0, "learning_rate": 0.02}
    assert train(prepared_features(**recipe), tmp_path)
    lines = metrics(tmp_path)
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    best = max(lines, key=lambda line: line["rsum"])
    assert lines[-1]["best_epoch"] == best["epoch"]
    assert best["rsum"] > lines[0]["rsum"]


def test_the_last_epoch_is_kept_unmeasured(prepared_features: Prepare, tmp_path: Path) -> None:
    assert train(prepared_features(keep_epoch="last", ema_decay=0.0), tmp_path)
    lines = metrics(tmp_path)
    assert [line.keys() for line in lines] == [{"epoch", "loss"}] * 2
    assert_same(weights(tmp_path, BEST), weights(tmp_path))


def test_another_recipe_cannot_resume(prepared_features: Prepare, tmp_path: Path) -> None:
    train(prepared_features(), tmp_path, stop_after=1)
    with pytest.raises(RefineItrError, match="expected the recipe and data of the run"):
        train(prepared_features(margin=0.3), tmp_path, resume=True)


def test_other_data_cannot_resume(prepared_features: Prepare, tmp_path: Path) -> None:
    prepared = prepared_features()
    train(prepared, tmp_path, stop_after=1)
    assert isinstance(prepared.train.features, np.ndarray)
    others = FeatureTable(prepared.train.features + 1)
    sentences = dataclasses.replace(prepared.train, sentences=prepared.train.sentences[::-1])
    for changes in ({"train_views": others}, {"train": sentences}):
        other = dataclasses.replace(prepared_features(), **changes)
        with pytest.raises(RefineItrError, match="expected the recipe and data of the run"):
            train(other, tmp_path, resume=True)


def test_an_epochs_seconds_are_those_of_all_its_steps(
    prepared_features: Prepare, tmp_path: Path
) -> None:
    train(prepared_features(), tmp_path, stop_after=2)
    before = load_checkpoint(tmp_path / LAST)["position"]["seconds"]
    assert before > 0
    state = load_checkpoint(tmp_path / LAST)
    state["position"]["seconds"] = 1000.0
    torch.save(state, tmp_path / LAST)
    train(prepared_features(), tmp_path, resume=True)
    lines = (tmp_path / METRICS).read_text("utf-8").splitlines()
    first, second = (json.loads(line)["seconds"] for line in lines)
    assert first >= 1000
    assert second < 1000


def test_a_damaged_or_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefineItrError, match="there is none"):
        load_checkpoint(tmp_path / LAST)
    (tmp_path / LAST).write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(RefineItrError, match="it is damaged"):
        load_checkpoint(tmp_path / LAST)
    torch.save({"format": "another"}, tmp_path / LAST)
    with pytest.raises(RefineItrError, match="expected a checkpoint of format"):
        load_checkpoint(tmp_path / LAST)


def test_random_states_come_back() -> None:
    state = random_state()
    expected = (torch.rand(3), np.random.rand(3))
    set_random_state(state)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


def test_an_epoch_takes_each_image_once_and_its_own_sentences(
    tiny_recipe: Callable[..., Recipe],
) -> None:
    members = [np.array([3 * i, 3 * i + 1, 3 * i + 2]) for i in range(10)]
    plan = plan_epoch(members, 5, tiny_recipe(), 0)
    assert [len(batch.images) for batch in plan] == [4, 4]
    images = np.concatenate([batch.images for batch in plan])
    assert len(set(images.tolist())) == 8
    for batch in plan:
        assert (batch.sentences // 3 == batch.images[batch.owner]).all()
        assert len(set(batch.sentences.tolist())) == len(batch.sentences) == 8
        assert batch.views.max() < 5
    other = plan_epoch(members, 5, tiny_recipe(), 1)
    assert not np.array_equal(plan[0].images, other[0].images)


def test_learning_rates_rise_then_fall_to_zero(tiny_recipe: Callable[..., Recipe]) -> None:
    recipe = tiny_recipe(epochs=10, warmup_epochs=1.0, backbone_delay=2.0)
    assert learning_rates(recipe, 0.0) == {"encoders": 0.0, "words": 0.0, "backbone": 0.0}
    assert learning_rates(recipe, 2.0)["backbone"] == 0.0
    at_five = learning_rates(recipe, 5.0)
    assert at_five["encoders"] == pytest.approx(recipe.learning_rate / 2)
    assert at_five["words"] == pytest.approx(recipe.embedding_rate / 2)
    assert at_five["backbone"] == pytest.approx(recipe.backbone_rate / 2)
    assert learning_rates(recipe, 10.0)["encoders"] == pytest.approx(0.0)


def test_the_average_moves_by_its_decay(prepared_features: Prepare) -> None:
    learner = prepared_features().learner
    average = Average(learner, decay=0.75)
    fc = learner.encoders.image.fc.bias
    with torch.no_grad():
        fc.fill_(1.0)
    average.update(learner, steps=1)  # 1 / (1 + 9): a short memory at first
    assert average.model.encoders.image.fc.bias[0].item() == pytest.approx(0.9)
    average.update(learner, steps=1000)
    assert average.model.encoders.image.fc.bias[0].item() == pytest.approx(0.925)


def test_augmentation_drops_the_share_it_says_and_no_special_token() -> None:
    torch.manual_seed(0)
    tokens = torch.full((100, 100), 9)
    tokens[:, 0], tokens[:, -1] = 1, 0
    dropped = drop_words(tokens, 0.25)
    assert torch.equal(dropped[:, [0, -1]], tokens[:, [0, -1]])
    assert (dropped == 3).float().mean().item() == pytest.approx(0.245, abs=0.02)
    assert torch.equal(drop_words(tokens, 0.0), tokens)
    assert keep_regions(100, 100, 0.25).mean().item() == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 0}, "dim: expected at least 1; got 0"),
        ({"dim": 8.5}, "dim: expected int; got 8.5"),
        ({"dropout": 1.5}, "dropout: expected at most 1"),
        ({"learning_rate": float("nan")}, "learning_rate: expected at least 0"),
        ({"graph": "gcn"}, "graph: expected one of light-gcn"),
        ({"graph": "none"}, "layers: expected 0 exactly"),
        ({"input_size": 100}, "input_size: expected a multiple of 32"),
        ({"teacher": False}, "extra_words: expected 0"),
        ({"speed": 1}, "unknown speed"),
    ],
)
def test_a_recipe_says_what_is_wrong(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(change), "utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_recipe(path)


def test_a_recipe_reads_back(tmp_path: Path, tiny_recipe: Callable[..., Recipe]) -> None:
    recipe = tiny_recipe()
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(dataclasses.asdict(recipe)), "utf-8")
    assert read_recipe(path) == recipe
    assert read_recipe(path, {"epochs": 9}).epochs == 9
    path.write_text("[1]", "utf-8")
    with pytest.raises(InvalidInputError, match="expected a JSON object"):
        read_recipe(path)
