"""The command line: what each command prints, and one clear line for each mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import write_tiny_bundle

from refine_itr.index import Index


def test_index_then_search_both_ways(run, bundle: Path, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file, texts = tmp_path / "my.itr", tmp_path / "texts.txt"
    texts.write_text("a red circle\n\n  a green square \n", "utf-8")
    (photos / "bad.jpg").write_text("x")
    made = run("index", file, photos, "--texts", texts, "--model", bundle)
    assert made.code == 0
    assert "6 photographs, 2 sentences (8 added, 0 updated, 0 unchanged, 0 removed" in made.out
    assert "skipped" in made.err
    assert "bad.jpg: expected a picture" in made.err

    again = json.loads(run("index", file, photos, "-m", bundle, "--json").out)
    assert (again["added"], again["unchanged"], again["images"]) == (0, 6, 6)
    assert [Path(f["item"]).name for f in again["failed"]] == ["bad.jpg"]

    found = json.loads(run("search", file, "--text", "red", "-k", 2, "-m", bundle, "--json").out)
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    assert all(Path(hit["item"]).is_file() for hit in found["hits"])
    sentences = run("search", file, "--image", photos / "red.jpg", "-m", bundle)
    assert sentences.code == 0
    assert "a green square" in sentences.out

    (photos / "red.jpg").unlink()
    pruned = json.loads(run("index", file, "--prune", "-m", bundle, "--json").out)
    assert (pruned["removed"], pruned["images"]) == (1, 5)


def test_search_a_folder_and_a_file_of_sentences(  # type: ignore[no-untyped-def]
    run, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("[bold]red[/bold]\ngreen\n", "utf-8")
    assert "red.jpg" in run("search", photos, "--text", "red", "-m", bundle).out
    assert "[bold]red[/bold]" in run("search", texts, "--text", "red", "-m", bundle).out


def test_search_a_narrow_copy(run, bundle: Path, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "my.itr"
    run("index", file, photos, "-m", bundle)
    command = ["search", file, "--text", "red", "-m", bundle, "--json", "--gallery-precision"]
    plain = json.loads(run(*command, "fp32").out)
    for precision in ("bf16", "int8"):
        assert json.loads(run(*command, precision).out) == plain
    refused = run(*command, "fp16")
    assert refused.code == 2
    assert "--gallery-precision" in refused.err
    assert "'fp16' is not one of" in refused.err


def test_ctrl_c_keeps_what_was_embedded(  # type: ignore[no-untyped-def]
    run, bundle: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "few").mkdir()
    for number in range(20):  # more than a batch
        (tmp_path / "few" / f"{number:02}.jpg").write_bytes((photos / "red.jpg").read_bytes())
    put = Index._put
    kept = 0

    def interrupted(self: Index, *arguments: Any) -> bool:
        nonlocal kept
        if kept == 7:
            raise KeyboardInterrupt
        kept += 1
        return put(self, *arguments)

    file = tmp_path / "my.itr"
    with monkeypatch.context() as patch:
        patch.setattr(Index, "_put", interrupted)
        stopped = run("index", file, tmp_path / "few", "-m", bundle)
    assert stopped.code == 130
    assert "goes on from there" in stopped.err
    resumed = json.loads(run("index", file, tmp_path / "few", "-m", bundle, "--json").out)
    assert resumed["unchanged"] == 7
    assert resumed["images"] == 20


def test_an_empty_folder_is_told(run, bundle: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    result = run("search", tmp_path / "empty", "--text", "red", "-m", bundle)
    assert result.code == 0
    assert "empty: nothing to search in" in result.err


def test_html_frames_what_is_known_to_match(  # type: ignore[no-untyped-def]
    run, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    truth, page = tmp_path / "c.jsonl", tmp_path / "new" / "page.html"
    truth.write_text(json.dumps({"image": "red.jpg", "captions": ["a <b> circle"]}))
    result = run("search", photos, "--text", "a <b> circle", "--html", page,
                 "--truth", truth, "-m", bundle)  # fmt: skip
    assert result.code == 0
    html = page.read_text("utf-8")
    assert html.count("data:image/jpeg;base64,") == 6
    assert html.count('class="match"') == 1
    assert "a &lt;b&gt; circle" in html
    assert "<b>" not in html


def test_eval(run, bundle: Path, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = tmp_path / "c.jsonl"
    data.write_text('{"image": "red.jpg", "captions": ["red", "a circle"]}')
    args = ("eval", "--data", data, "--images", photos, "-m", bundle)
    report = json.loads(run(*args, "--json").out)
    assert (report["rsum"], report["images"], report["sentences"]) == (600.0, 1, 2)
    assert "rsum 600.0" in run(*args).out


def test_doctor(run, bundle: Path) -> None:  # type: ignore[no-untyped-def]
    report = json.loads(run("doctor", "-m", bundle, "--threads", 1, "--json").out)
    assert report["isa"] in report["isas"]
    assert report["threads"] == 1
    (device,) = report["devices"]
    assert device["device"] == "cpu"
    assert device["providers"] == ["CPUExecutionProvider"]
    assert device["ms_per_picture"] > 0
    assert "acl" in report["not_available"]["ascend"]
    assert report["model"]["graph"] == "2 x light-gcn"
    assert "CPUExecutionProvider" in run("doctor", "-m", bundle).out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["search", "{photos}", "--text", "a", "-k", "0", "-m", "{bundle}"], "-k"),
        (["search", "{photos}", "-m", "{bundle}"], "expected one of --text and --image"),
        (["search", "{photos}", "--text", "a", "-m", "none"], "expected 'default' or a bundle's"),
        (["search", "none.itr", "--text", "a", "-m", "{bundle}"], "there is none"),
        (["search", "{photos}", "--text", " ", "-m", "{bundle}"], "got an empty one"),
        (["search", "{photos}", "--image", "no.jpg", "-m", "{bundle}"], "No such file"),
        (["search", "{photos}/red.jpg", "--text", "a", "-m", "{bundle}"], "expected an index file"),
        (["index", "x.itr", "-m", "{bundle}"], "nothing to do"),
        (["index", "x.itr", "no-folder", "-m", "{bundle}"], "expected a picture or a folder"),
        (
            ["index", "no/folder/x.itr", "{photos}", "-m", "{bundle}"],
            "expected a folder that can be",
        ),
        (["index", "x.itr", "--texts", "none.txt", "-m", "{bundle}"], "No such file"),
        (["index", "{other}", "{photos}", "-m", "{bundle}"], "made by the model"),
        (["eval", "--data", "no.jsonl", "--images", "{photos}", "-m", "{bundle}"], "No such file"),
        (["eval", "--data", "zip_ims.npy", "-m", "{bundle}"], "got several, zipped"),
        (["simulate", "--preset", "paper", "--rate", "nan"], "--rate"),
        (["simulate", "--preset", "paper", "--encoder-ms", "inf"], "expected a finite number"),
        (["simulate", "--preset", "paper", "--cards", "1000000000"], "--cards"),
        (["bench", "pipeline", "--images", "no-folder"], "expected a folder of photographs"),
        (["bench", "pipeline", "--chip-ms", "inf"], "expected a finite number"),
        (["bench", "pipeline", "--count", "1"], "--count"),
        (["bench", "pipeline", "--plot", "no/folder/x.svg"], "in a folder that is there"),
        (["bench", "table4", "--images", "no-folder"], "expected a folder of photographs"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_mistake_is_one_clear_line(  # type: ignore[no-untyped-def]
    args: list[str], message: str, run, bundle: Path, photos: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.itr"
    run("index", other, photos, "-m", write_tiny_bundle(tmp_path / "another", seed=3))
    with Path("zip_ims.npy").open("wb") as file:
        np.savez(file, np.zeros(3, np.float32))
    Path("zip_caps.txt").write_text("a dog\n")
    names = {"photos": photos, "bundle": bundle, "other": other}
    result = run(*(arg.format(**names) for arg in args))
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert "Traceback" not in result.err
    assert not (tmp_path / "x.itr").exists()


def test_brackets_in_a_name_are_no_markup(  # type: ignore[no-untyped-def]
    run, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "[red]my[" / "x.itr"
    file.parent.mkdir()
    assert str(file) in run("index", file, photos, "-m", bundle).out
    stage = {"name": "[/x]", "device": "[/y]", "threads": 1, "workers": 1, "cap": 1, "sizes": []}
    stage |= {"time": {"setup_s": 0, "per_item_s": 0.01}, "crowding": 1, "wake_s": 0}
    plan = {"goal": "g", "cores": 1, "stages": [stage], "throughput": None, "delay_s": None}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    result = run("simulate", "--plan", tmp_path / "plan.json")
    assert result.code == 0
    assert "[/x] 100%" in result.out


def test_an_unknown_isa_is_one_clear_line(bundle: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "refine_itr.cli", "doctor", "-m", str(bundle)],
        env=os.environ | {"REFINE_ITR_ISA": "avx3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "avx3" in result.stderr
    assert "scalar" in result.stderr
    assert "Traceback" not in result.stderr
