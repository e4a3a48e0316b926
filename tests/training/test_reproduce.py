"""``refine-itr reproduce``: both tables on drawn pictures; killed, resumed and refused runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import refine_itr
from refine_itr.bench.as_written import AsWrittenEncoder
from refine_itr.bundle import bundle_folder, read_bundle
from refine_itr.errors import DatasetError, InvalidInputError, RefineItrError
from refine_itr.evaluation import evaluate, read_captions
from refine_itr.reproduction import timing
from refine_itr.reproduction.regions import cached_regions
from refine_itr.reproduction.reproduce import reproduce_table1
from refine_itr.reproduction.settings import Run, Settings, paper_recipe
from refine_itr.reproduction.tables import (
    pair_findings,
    paper_pair,
    paper_sizes,
    size_findings,
)
from refine_itr.training.prepare import Sources
from refine_itr.training.run import Hooks

SMALL = ("--epochs", "2", "--batch", "4", "--dims", "8,16", "--seeds", "2")
HOOKS = Hooks(progress=lambda *_: None, on_epoch=lambda _: None, should_stop=lambda: False)
Command = Callable[..., Any]


@pytest.fixture
def data(sources: Sources) -> Path:
    """A data folder of eight drawn pictures, the same ones for training and measuring."""
    folder = sources.train.parent
    for split in ("train", "val"):
        shutil.copy(sources.train, folder / f"{split}.jsonl")
    return folder


def test_both_tables(run: Command, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--data", data, "--out", out, *SMALL)
    first = run("reproduce", "table1", *arguments, "--json")
    assert first.code == 0, first.err
    report = json.loads(first.out)
    assert {(m["graph"], m["dim"], m["seeds"]) for m in report["models"]} == {
        *(("vsrn-gcn", 16, 1), ("light-gcn", 16, 1), ("vsrn-gcn", 8, 2), ("light-gcn", 8, 2))
    }
    assert report["data"]["measured_sentences"] == 16
    assert [row["encode_ms"] for row in report["paper"]] == [44.6, 27.8]
    assert [found["dim"] for found in report["findings"]] == [16, 8]
    assert report["machine"]["isa"]
    written = json.loads((out / "table1.json").read_text("utf-8"))
    assert {key: report[key] for key in written} == written
    _check_runs(report, data, out)

    again = run("reproduce", "table1", *arguments)
    assert "epoch 1" not in again.err  # nothing is trained again
    for text in ("VSRN-GCN", "Light-GCN", "44.60", "The paper, D = 2048: -0.6 points, 1.60 times"):
        assert text in again.out
    third = run("reproduce", "table3", *arguments)
    assert "epoch 1" not in third.err
    assert "VSRN-GCN" not in third.out
    assert "Here, D = 8 instead of 16: weights -" in third.out
    assert "weights -72.0 %, encode time -72.9 %, mean recall -2.6 points" in third.out


def _check_runs(report: dict[str, Any], data: Path, out: Path) -> None:
    """Recall, parameters and size are those of the bundles, and the times are those of models."""
    captions = read_captions(data / "val.jsonl", data / "images")
    for row in report["runs"]:
        folder = out / "runs" / f"{row['graph']}-d{row['dim']}-s{row['seed']}"
        with refine_itr.load(folder / "bundle") as model:
            assert evaluate(model, captions).to_json() == row["recalls"]
            assert model.config.image.graph == row["graph"]
            assert model.config.image.pooling == "gru"
        assert len(row["losses"]) == 2
        assert not list(folder.glob("*.pt"))
    light, vsrn = (
        next(m for m in report["models"] if m["graph"] == graph and m["dim"] == 16)
        for graph in ("light-gcn", "vsrn-gcn")
    )
    # theta and phi with their biases, against a K x K matrix; four layers.
    assert vsrn["parameters"] - light["parameters"] == 4 * (2 * (16 * 16 + 16) - 36 * 36)
    assert 0 < vsrn["folded_ms"] < 1000
    assert 0 < vsrn["as_written_ms"] < 1000


def _finished(out: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    folder = out / "runs" / "light-gcn-d8-s0"
    row = json.loads((folder / "row.json").read_text("utf-8"))
    del row["training_minutes"]
    return row, load_file(folder / "bundle" / "weights.safetensors")


def test_a_killed_run_goes_on_to_the_same_result(data: Path, tmp_path: Path) -> None:
    def command(out: Path) -> list[str]:
        options = ("--epochs", "40", "--batch", "2", "--dims", "8", "--seeds", "1")
        program = "from refine_itr.cli.app import main; main()"
        arguments = ["reproduce", "table3", "--data", str(data), "--out", str(out), *options]
        return [sys.executable, "-c", program, *arguments]

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(command(killed), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    checkpoint = killed / "runs" / "light-gcn-d8-s0" / "last.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert checkpoint.is_file()
    assert not checkpoint.with_name("row.json").exists()
    for out in (killed, whole):
        subprocess.run(command(out), check=True, capture_output=True)
    (row, weights), (other_row, other_weights) = _finished(killed), _finished(whole)
    assert row == other_row
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, other_weights[name], name)


def test_a_request_to_stop_ends_it_between_two_steps(data: Path, tmp_path: Path) -> None:
    settings = Settings(epochs=1, batch_size=4, dims=(8,), seeds=1)
    stop = Hooks(HOOKS.progress, HOOKS.on_epoch, should_stop=lambda: True)
    assert reproduce_table1(data, tmp_path / "out", settings, stop) is None
    report = reproduce_table1(data, tmp_path / "out", settings, HOOKS)
    assert report is not None
    assert len(report["runs"]) == 2


def test_a_finished_run_with_other_settings_or_damage_is_named(
    run: Command, data: Path, tmp_path: Path
) -> None:
    arguments = ["reproduce", "table3", "--data", data, "--batch", 4, "--dims", 8, "--seeds", 1]
    arguments += ["--out", tmp_path / "out"]
    assert run(*arguments, "--epochs", 1).code == 0
    other = run(*arguments, "--epochs", 2)
    assert other.code == 2
    assert "expected a run with epochs = 2, warmup_epochs = 0.4; got epochs = 1" in other.err
    captions = (data / "train.jsonl").read_text("utf-8")
    (data / "train.jsonl").write_text(captions.replace("one", "some"), "utf-8")
    changed = run(*arguments, "--epochs", 1)
    assert changed.code == 2
    assert "expected a run with these captions and this detector; got others" in changed.err
    (tmp_path / "out" / "runs" / "light-gcn-d8-s0" / "row.json").write_text("[]", "utf-8")
    damaged = run(*arguments, "--epochs", 1)
    assert damaged.code == 2
    assert "expected the row of a finished run" in damaged.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dims", "big"), "--dims: expected numbers with commas; got 'big'"),
        (("--dims", "8,8"), "--dims: expected different numbers"),
        (("--dims", "0"), "--dims: expected 1 to 8192; got 0"),
        (("--dims", "8,9999"), "--dims: expected 1 to 8192; got 9999"),
        (("--epochs", "0"), "--epochs: expected 1 to 10000; got 0"),
        (("--batch", "1"), "--batch: expected 2 to 65536; got 1"),
        (("--seeds", "0"), "--seeds: expected 1 to 100; got 0"),
        (("--dims", "8", "--batch", "9"), "--batch: expected at most the 8 photographs"),
    ],
)
@pytest.mark.parametrize("table", ["table1", "table3"])
def test_bad_arguments(
    run: Command, data: Path, tmp_path: Path, table: str, arguments: tuple[str, ...], message: str
) -> None:
    result = run("reproduce", table, "--data", data, "--out", tmp_path / "out", *arguments)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_data_that_are_not_there(run: Command, tmp_path: Path) -> None:
    result = run("reproduce", "table1", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert result.code == 2
    assert "expected a folder of images; there is none" in result.err


def test_several_seeds_come_at_1024_or_at_the_least_dim() -> None:
    settings = Settings(epochs=1, batch_size=2, dims=(2048, 1024, 512), seeds=3)
    runs = settings.runs(("a", "b"))
    assert [(r.dim, r.seed) for r in runs if r.graph == "a"] == [
        *((1024, 0), (1024, 1), (1024, 2), (512, 0), (2048, 0))
    ]
    assert Settings(epochs=1, batch_size=2, dims=(64, 32), seeds=2).pair_dim == 32


def test_models_of_one_table_differ_in_graph_dim_and_seed_alone() -> None:
    settings = Settings(epochs=3, batch_size=7, dims=(8,), seeds=1)
    ours, other = (
        vars(paper_recipe(run, settings))
        for run in (Run("vsrn-gcn", 8, 0), Run("light-gcn", 16, 1))
    )
    assert {key for key in ours if ours[key] != other[key]} == {"graph", "dim", "seed"}
    assert (ours["epochs"], ours["batch_size"], ours["layers"], ours["word_dim"]) == (3, 7, 4, 300)


def _row(graph: str, dim: int, seed: int, rsum: float) -> dict[str, Any]:
    return {"graph": graph, "dim": dim, "seed": seed, "recalls": {"rsum": rsum}}


@pytest.mark.parametrize(
    ("rsums", "vsrn_ms", "gain", "spread", "good", "fast"),
    [
        ((300.0, 306.0), 16.0, 0.5, 0.71, True, True),
        ((294.0, 294.0), 14.5, -1.0, 0.0, True, True),
        ((290.0, 290.0), 14.0, -1.67, 0.0, False, False),
    ],
)
def test_the_claim_is_judged_both_ways(
    rsums: tuple[float, float], vsrn_ms: float, gain: float, spread: float, good: bool, fast: bool
) -> None:
    rows = [_row("vsrn-gcn", 8, seed, 300.0) for seed in (0, 1)]
    rows += [_row("light-gcn", 8, seed, rsum) for seed, rsum in enumerate(rsums)]
    timings = {
        "vsrn-gcn-d8": {"as_written_ms": vsrn_ms, "folded_ms": 6.0},
        "light-gcn-d8": {"as_written_ms": 10.0, "folded_ms": 4.0},
    }
    (found,) = pair_findings(rows, timings)
    assert (found["dim"], found["seeds"]) == (8, 2)
    assert (found["recall_gain"], found["recall_gain_spread"]) == (gain, spread)
    assert (found["recall_claim_holds"], found["speed_claim_holds"]) == (good, fast)
    assert found["speed_ratio_folded"] == 1.5


def test_the_papers_own_findings() -> None:
    # Section 4.2: 37.7 % less time; section 4.3: 72.0 % of the weights and 72.9 % of the time.
    assert paper_pair() == {"dim": 2048, "recall_gain": -0.62, "speed_ratio_as_written": 1.6}
    at_1024 = next(found for found in paper_sizes() if found["dim"] == 1024)
    assert at_1024["saved"] == {"weights_mib": 72.0, "encode_ms": 72.9}
    assert size_findings([{"dim": 8, "rsum": 1.0}], ()) == []


def test_regions_are_computed_once_and_are_the_detectors(data: Path, tmp_path: Path) -> None:
    bundle = read_bundle(bundle_folder())
    photographs = sorted((data / "images").iterdir())
    told: list[int] = []

    def regions() -> np.ndarray:
        return cached_regions(
            bundle.detector_path,
            bundle.config,
            photographs,
            tmp_path / "cache",
            lambda _, done, __: told.append(done),
        )

    first = regions()
    assert told == [8]
    np.testing.assert_array_equal(regions(), first)
    assert told == [8]
    with refine_itr.load() as model:
        expected = model.embed_images(photographs)
        got = model.image_encoder.encode(first.astype(np.float32))
    np.testing.assert_allclose(got, expected, atol=2e-3)  # regions rounded to float16
    photographs[0].write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=photographs[0].name):
        regions()


def test_times_are_taken_only_of_equal_answers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(epochs=1, batch_size=4, dims=(8,), seeds=1)
    assert reproduce_table1(data, tmp_path / "out", settings, HOOKS) is not None
    monkeypatch.setattr(
        AsWrittenEncoder, "encode", lambda self, regions: np.ones((len(regions), 8), np.float32)
    )
    bundles = {"light": tmp_path / "out" / "runs" / "light-gcn-d8-s0" / "bundle"}
    with pytest.raises(RefineItrError, match="light: expected the same embeddings"):
        timing.time_encoders(bundles, np.ones((2, 36, 1280), np.float32))


def test_settings_are_checked_in_python_too() -> None:
    with pytest.raises(InvalidInputError, match="--dims"):
        Settings(epochs=1, batch_size=2, dims=(), seeds=1)
