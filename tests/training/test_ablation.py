"""``benchmarks/ablation.py``: its variations are recipes, and a stopped run goes on."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from refine_itr.training import prepare as prepare_module
from refine_itr.training.backbone import EfficientNetLite0
from refine_itr.training.prepare import Sources
from refine_itr.training.recipe import Recipe
from refine_itr.training.run import Hooks

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ablation.py"


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablation"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _random_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    def random_backbone() -> EfficientNetLite0:
        torch.manual_seed(5)
        return EfficientNetLite0()

    monkeypatch.setattr(prepare_module, "load_pretrained", random_backbone)


def arguments(sources: Sources, tmp_path: Path, recipe: Recipe) -> list[str]:
    data = sources.train.parent
    for split in ("train", "val"):
        (data / f"{split}.jsonl").write_bytes(sources.train.read_bytes())
    config = tmp_path / "recipe.json"
    config.write_text(json.dumps(dataclasses.asdict(recipe)), "utf-8")
    return [str(data), "--out", str(tmp_path / "out"), "--config", str(config)]


def test_each_variation_differs_from_the_default_recipe_as_it_says(ablation: ModuleType) -> None:
    recipes = ablation.make_recipes(ablation.parse_arguments(["data", "--out", "out"]))
    default = dataclasses.asdict(Recipe())
    assert dataclasses.asdict(recipes.pop("full")) == default
    for name, recipe in recipes.items():
        changed = {k: v for k, v in dataclasses.asdict(recipe).items() if v != default[k]}
        assert changed == ablation.VARIATIONS[name].changes
        assert changed


def test_a_table_and_no_second_training(
    ablation: ModuleType,
    sources: Sources,
    tmp_path: Path,
    tiny_recipe: Callable[..., Recipe],
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [*arguments(sources, tmp_path, tiny_recipe()), "--only", "gpo", "views"]
    assert ablation.main(given) == 0
    table = capsys.readouterr().out
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[0].removeprefix("| ") for row in rows] == [
        ablation.VARIATIONS[name].title for name in ("full", "views", "gpo")
    ]
    for row in rows[1:]:
        assert float(row[8]) == pytest.approx(float(row[7]) - float(rows[0][7]), abs=0.11)
    written = (tmp_path / "out/gpo/bundle/config.json").stat().st_mtime_ns
    assert ablation.main(given) == 0
    assert capsys.readouterr().out == table
    assert (tmp_path / "out/gpo/bundle/config.json").stat().st_mtime_ns == written
    assert ablation.main([*given, "--epochs", "1"]) == 2
    assert "expected a run with epochs = 1; got epochs = 2" in capsys.readouterr().err
    sources.train.with_name("val.jsonl").write_bytes(sources.train.read_bytes() + b"\n")
    assert ablation.main(given) == 2
    assert "expected a run on these captions" in capsys.readouterr().err
    (tmp_path / "out/full/row.json").write_text("{}")  # as before rows named their captions
    assert ablation.main(given) == 2
    assert "expected a run on these captions" in capsys.readouterr().err


def test_a_stopped_variation_goes_on(
    ablation: ModuleType, sources: Sources, tmp_path: Path, tiny_recipe: Callable[..., Recipe]
) -> None:
    def train(folder: str, stop: bool) -> dict[str, object] | None:
        hooks = Hooks(lambda *_: None, lambda _: None, should_stop=lambda: stop)
        recipe = tiny_recipe(pooling="gpo")
        row: dict[str, object] | None = ablation.train_variation(
            "gpo", recipe, sources, tmp_path / folder, hooks
        )
        return row

    whole = train("whole", stop=False)
    assert train("parts", stop=True) is None
    parts = train("parts", stop=False)
    assert whole is not None
    assert parts is not None
    assert parts["recalls"] == whole["recalls"]
    weights = [
        (tmp_path / folder / "bundle" / "weights.safetensors").read_bytes()
        for folder in ("whole", "parts")
    ]
    assert weights[0] == weights[1]
