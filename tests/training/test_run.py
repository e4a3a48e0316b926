"""Whole runs from pictures or features to a bundle, and the command."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from object_graphs import FEATURES, TWO_STAGE, write_two_stage
from typer.testing import CliRunner

import refine_itr
from refine_itr.bundle import DETECTOR_CONFIG, read_detector
from refine_itr.cli.app import app
from refine_itr.decoding import decode
from refine_itr.detection import open_detectors
from refine_itr.errors import DatasetError, DetectorError, InvalidInputError, MissingExtraError
from refine_itr.training import prepare as prepare_module
from refine_itr.training.backbone import EfficientNetLite0
from refine_itr.training.batches import TokenTable
from refine_itr.training.card import Provenance
from refine_itr.training.data import read_split
from refine_itr.training.export import export_best
from refine_itr.training.export_detector import detector_onnx
from refine_itr.training.features import FrozenTrunk, ViewCache, ViewSettings
from refine_itr.training.loop import BEST
from refine_itr.training.measure import embed_images, embed_sentences
from refine_itr.training.prepare import Sources, prepare
from refine_itr.training.recipe import Recipe
from refine_itr.training.run import BUNDLE, Hooks, run_training

PROVENANCE = Provenance("Drawn circles and squares.", "refine-itr train")
HOOKS = Hooks(progress=lambda *_: None, on_epoch=lambda _: None, should_stop=lambda: False)


def small_backbone() -> EfficientNetLite0:
    torch.manual_seed(5)
    return EfficientNetLite0()


@pytest.fixture(autouse=True)
def _random_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ImageNet weights: what is learned is not the matter here."""
    monkeypatch.setattr(prepare_module, "load_pretrained", small_backbone)


@pytest.mark.parametrize(
    "changes", [{}, {"fine_tune": False}, {"pooling": "gpo", "keep_epoch": "last"}], ids=str
)
def test_pictures_to_bundle(
    sources: Sources,
    tmp_path: Path,
    tiny_recipe: Callable[..., Recipe],
    changes: dict[str, Any],
) -> None:
    out = tmp_path / "run"
    recipe = tiny_recipe(**changes)
    measured = run_training(recipe, sources, out, PROVENANCE, HOOKS)
    assert measured is not None
    assert (measured.images, measured.sentences) == (8, 16)
    model = refine_itr.load(out / BUNDLE)
    prepared = prepare(recipe, sources, HOOKS.progress)
    state = torch.load(out / BEST, weights_only=True)["learner"]
    prepared.learner.load_state_dict(
        {
            name: tensor.half().float() if tensor.ndim > 1 else tensor
            for name, tensor in state.items()
        }
    )
    assert prepared.train.photographs is not None
    images = model.embed_images(prepared.train.photographs)
    texts = model.embed_texts(prepared.train.sentences)
    expected_texts = embed_sentences(prepared.learner, TokenTable(prepared.tokenizer, prepared.val))
    np.testing.assert_allclose(texts, expected_texts, atol=1e-4)
    expected_images = embed_images(prepared.learner, prepared.val_views, 8)
    np.testing.assert_allclose(images, expected_images, atol=1e-4)
    card = (out / BUNDLE / "card.md").read_text("utf-8")
    assert "Drawn circles and squares." in card
    assert f"rsum {measured.rsum:.1f}" in card
    assert ("also chose the epoch" in card) == (recipe.keep_epoch == "best")
    with pytest.raises(InvalidInputError, match="expected a new folder, or --resume"):
        run_training(recipe, sources, out, PROVENANCE, HOOKS)


def test_fine_tuning_moves_late_blocks_only(
    sources: Sources, tmp_path: Path, tiny_recipe: Callable[..., Recipe]
) -> None:
    run_training(tiny_recipe(ema_decay=0.0), sources, tmp_path / "run", PROVENANCE, HOOKS)
    state = torch.load(tmp_path / "run" / BEST, weights_only=True)["learner"]
    start = small_backbone().state_dict()
    moved = {n for n, w in start.items() if not torch.equal(w, state[f"backbone.{n}"])}
    assert moved
    assert all(n.startswith(("blocks.14", "blocks.15", "head")) for n in moved)
    assert not any("depthwise" in n for n in moved)


def test_features_to_bundle(tmp_path: Path, tiny_recipe: Callable[..., Recipe]) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "train_ims.npy", rng.normal(size=(6, 1, 1280)).astype(np.float32))
    (tmp_path / "train_caps.txt").write_text("\n".join(f"a number {i}" for i in range(12)))
    data = tmp_path / "train_ims.npy"
    sources = Sources(data, data, None, tmp_path / "cache")
    recipe = tiny_recipe()
    detector = tmp_path / "detector.onnx"
    with pytest.raises(DetectorError, match=r"detector\.onnx"):
        run_training(recipe, sources, tmp_path / "run", PROVENANCE, HOOKS, detector=detector)
    detector.write_bytes(detector_onnx(small_backbone(), input_size=64))
    measured = run_training(recipe, sources, tmp_path / "run", PROVENANCE, HOOKS, detector=detector)
    assert measured is not None
    model = refine_itr.load(tmp_path / "run" / BUNDLE)
    assert model.embed_texts(["a number"]).shape == (1, recipe.dim)


def test_features_without_their_detector(
    tmp_path: Path, tiny_recipe: Callable[..., Recipe]
) -> None:
    features = np.random.default_rng(0).normal(size=(6, 3, 5)).astype(np.float32)
    np.save(tmp_path / "train_ims.npy", features)
    (tmp_path / "train_caps.txt").write_text("\n".join(f"a number {i}" for i in range(12)))
    data = tmp_path / "train_ims.npy"
    sources = Sources(data, data, None, tmp_path / "cache")
    assert run_training(tiny_recipe(), sources, tmp_path / "run", PROVENANCE, HOOKS) is not None
    model = refine_itr.load(tmp_path / "run" / BUNDLE)
    assert not model.has_detector
    assert model.embed_regions(features).shape == (6, model.dim)


def test_precomputed_rows_of_one_a_caption_are_thinned(tmp_path: Path) -> None:
    features = np.repeat(np.arange(3, dtype=np.float32), 5)[:, None, None] * np.ones((1, 2, 4))
    np.save(tmp_path / "dev_ims.npy", features.astype(np.float32))
    (tmp_path / "dev_caps.txt").write_text("\n".join(f"caption {i}" for i in range(15)))
    split = read_split(tmp_path / "dev_ims.npy", None)
    assert split.features is not None
    assert split.features[:, 0, 0].tolist() == [0, 1, 2]
    assert split.owner.tolist() == np.repeat(np.arange(3), 5).tolist()
    assert [m.tolist() for m in split.members()] == [[*range(5)], [*range(5, 10)], [*range(10, 15)]]


def test_data_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--images"):
        read_split(tmp_path / "captions.jsonl", None)
    np.save(tmp_path / "x_ims.npy", np.zeros((2, 3, 4)))
    with pytest.raises(DatasetError, match=r"x_caps\.txt"):
        read_split(tmp_path / "x_ims.npy", None)
    (tmp_path / "x_caps.txt").write_text("one\ntwo\nthree\n")
    with pytest.raises(DatasetError, match="expected float32"):
        read_split(tmp_path / "x_ims.npy", None)
    np.save(tmp_path / "x_ims.npy", np.zeros((2, 3, 4), np.float32))
    with pytest.raises(DatasetError, match="got 3 lines"):
        read_split(tmp_path / "x_ims.npy", None)


def test_the_cache_is_reused_and_knows_changed_pictures(sources: Sources, tmp_path: Path) -> None:
    assert sources.images is not None
    photographs = sorted(sources.images.iterdir())
    trunk = FrozenTrunk(small_backbone(), 6, False, False)
    settings = ViewSettings(64, 0.5, 0.2, 0)
    made: list[str] = []

    def views() -> ViewCache:
        made.clear()
        return ViewCache(
            tmp_path / "c", photographs, trunk, settings, 3, lambda what, *_: made.append(what)
        )

    numbers = np.arange(8)
    first = views().load(numbers, numbers % 3)
    assert set(made) == {"view 1", "view 2", "view 3"}
    again = views().load(numbers, numbers % 3)
    assert not made
    assert torch.equal(first, again)
    plain, other = (views().load(numbers, np.full(8, view)) for view in (0, 1))
    assert not torch.equal(plain, other)
    photographs[0].write_bytes(photographs[1].read_bytes())
    changed = views()
    assert made
    assert torch.equal(changed.load(numbers[:1], numbers[:1]), plain[1:2])
    photographs[0].write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=photographs[0].name):
        views()


def test_export_refuses_what_float16_cannot_hold(
    sources: Sources, tmp_path: Path, tiny_recipe: Callable[..., Recipe]
) -> None:
    prepared = prepare(tiny_recipe(), sources, HOOKS.progress)
    state = prepared.learner.state_dict()
    state["encoders.image.fc.weight"][0, 0] = 1e6
    path = tmp_path / BEST
    torch.save({"format": "refine-itr-checkpoint-1", "learner": state}, path)
    with pytest.raises(refine_itr.RefineItrError, match="float16"):
        export_best(path, prepared, tmp_path / "bundle", PROVENANCE, None)


def _arguments(sources: Sources, out: Path, recipe: Path) -> list[str]:
    return [
        "train",
        *("--data", str(sources.train), "--val", str(sources.val), "--out", str(out)),
        *("--images", str(sources.images), "--config", str(recipe), "--json"),
    ]


def test_command(sources: Sources, tmp_path: Path, tiny_recipe: Callable[..., Recipe]) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(dataclasses.asdict(tiny_recipe())), "utf-8")
    arguments = _arguments(sources, tmp_path / "run", recipe)
    result = CliRunner().invoke(app, [*arguments, "--epochs", "1", "--seed", "4"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["images"] == 8
    assert refine_itr.load(report["bundle"]).dim == 8
    written = json.loads((tmp_path / "run" / "recipe.json").read_text("utf-8"))
    assert (written["epochs"], written["seed"]) == (1, 4)


def test_command_without_torch_names_the_extra(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(app, _arguments(sources, tmp_path / "run", tmp_path / "r.json"))
    assert isinstance(result.exception, MissingExtraError)
    assert "pip install 'refine-itr[train]'" in str(result.exception)


def test_features_of_an_object_detector(
    tmp_path: Path, tiny_recipe: Callable[..., Recipe], photos: Path
) -> None:
    """Photographs -> regions of a two-stage detector -> training -> a bundle that has it."""
    path = write_two_stage(tmp_path / "detector")
    # Five regions: no square, as a grid would need.
    rule = replace(TWO_STAGE.selection, least=5, most=5)
    config = replace(TWO_STAGE, selection=rule)
    (path.parent / DETECTOR_CONFIG).write_text(json.dumps(asdict(config)))
    (detector,) = open_detectors(path, read_detector(path.parent), features=FEATURES)
    pictures = [decode(p, detector.picture_size) for p in sorted(photos.rglob("*.jpg"))]
    np.save(tmp_path / "train_ims.npy", detector.detect(pictures).features)
    (tmp_path / "train_caps.txt").write_text("\n".join(f"a number {i}" for i in range(12)))
    data = tmp_path / "train_ims.npy"
    sources = Sources(data, data, None, tmp_path / "cache")
    bare = shutil.copy(path, tmp_path / "grid.onnx")  # no detector.json beside it: a grid's
    with pytest.raises(InvalidInputError, match="expected a square number of regions, got 5"):
        run_training(tiny_recipe(), sources, tmp_path / "run", PROVENANCE, HOOKS, detector=bare)
    run_training(tiny_recipe(), sources, tmp_path / "run", PROVENANCE, HOOKS, detector=path)
    with refine_itr.load(tmp_path / "run" / BUNDLE, device="cpu") as model:
        assert model.config.detector == config
        embeddings = model.embed_images(sorted(photos.rglob("*.jpg")))
        again = model.image_encoder.encode(np.load(data))
    np.testing.assert_allclose(embeddings, again, atol=1e-5)
