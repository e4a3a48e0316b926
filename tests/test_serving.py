"""Plans, pipelines and benchmarks on a whole model, and their commands."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refine_itr
from refine_itr.assembly import start
from refine_itr.bench import gantt
from refine_itr.bench.pipeline import Case, measure
from refine_itr.bench.runs import run_arrivals, run_overlapped, run_sequential
from refine_itr.errors import DeadlineError, InvalidInputError, PictureError
from refine_itr.pipeline import BatchRecord, Stage
from refine_itr.planning import BatchTime, Plan, PlannedStage
from refine_itr.profiling import profile_model, sample_pictures


def plan_of(cap: int = 4, detect: tuple[int, int] = (2, 1), goal: str = "max-throughput") -> Plan:
    time = BatchTime(0.0, 0.001)
    return Plan(
        goal,
        2,
        (
            PlannedStage("decode", "cpu", 1, 2, 1, time),
            PlannedStage("detect", "cpu", detect[1], detect[0], cap, time),
            PlannedStage("encode", "cpu", 1, 2, cap, time),
            PlannedStage("search", "cpu", 1, 1, cap, time),
        ),
        400.0,
        0.1,
    )


@pytest.mark.parametrize("plan", [plan_of(1), plan_of(8, (1, 2)), plan_of(3, (3, 1))])
def test_a_plan_changes_no_embedding(
    model: refine_itr.Model, bundle: Path, photos: Path, tmp_path: Path, plan: Plan
) -> None:
    paths = sorted(photos.rglob("*.jpg")) * 10
    expected = model.embed_images(paths)
    planned = refine_itr.load(bundle, plan=plan)
    assert len(planned.detectors) == plan.stage("detect").workers
    np.testing.assert_allclose(planned.embed_images(paths), expected, atol=1e-6)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan.to_json()))
    assert refine_itr.load(bundle, plan=file).plan == plan


def test_a_plan_for_another_device(bundle: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected 'cpu', the plan's, or auto"):
        refine_itr.load(bundle, plan=plan_of(), device="cuda:0")
    lame = Plan("max-throughput", 2, plan_of().stages[:2])
    with pytest.raises(InvalidInputError, match="expected a stage 'encode'"):
        refine_itr.load(bundle, plan=lame).embed_images([np.zeros((9, 9, 3), np.uint8)] * 2)


def test_a_pipeline_from_pictures_to_hits(model: refine_itr.Model, photos: Path) -> None:
    index = refine_itr.Index(model)
    index.add_texts(["a red circle", "green", "blue square"])
    paths = sorted(photos.rglob("*.jpg"))
    broken = photos / "broken.jpg"
    broken.write_bytes(b"no picture")
    with index.pipeline(k=2) as pipeline:
        futures = [pipeline.submit(path) for path in (*paths, broken)]
        outcomes = list(pipeline.run([paths[0], broken]))
    for path, future in zip(paths, futures, strict=False):
        expected = index.search(path, 2)
        assert [hit.item for hit in future.result()] == [hit.item for hit in expected]
    assert isinstance(futures[-1].exception(), PictureError)
    assert outcomes[0].error is None
    assert isinstance(outcomes[1].error, PictureError)
    with pytest.raises(InvalidInputError, match="k: expected at least 1"):
        index.stages(0)
    with pytest.raises(InvalidInputError, match="among: expected"):
        index.stages(1, among="sounds")  # type: ignore[arg-type]


def test_a_pipeline_with_a_deadline(model: refine_itr.Model, photos: Path) -> None:
    with model.pipeline(overflow="reject", deadline_s=1e-9) as pipeline:
        future = pipeline.submit(photos / "red.jpg")
        with pytest.raises(DeadlineError):
            future.result(timeout=30)


def test_caps_follow_what_batches_take() -> None:
    plan = Plan(
        "delay=20", 2, (PlannedStage("a", "card", 0, 1, 8, BatchTime(0.0, 0.001)),), 100.0, 0.01
    )

    def late(items: list[Any]) -> list[Any]:
        wait.wait(0.03)
        return items

    wait = threading.Event()
    with start(plan, [Stage("a", [late], cap=8)], overflow="block", deadline_s=None) as pipeline:
        assert len(list(pipeline.run(range(100)))) == 100
        assert pipeline.caps["a"] < 8


def test_closing_gives_the_devices_back(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refine_itr.load(bundle) as loaded:
        closed: list[bool] = []
        monkeypatch.setattr(loaded.detectors[0].backend, "close", lambda: closed.append(True))
    assert closed == [True]


# -- measuring


def sleepless(items: list[int]) -> list[int]:
    return [item + 1 for item in items]


def two_stages() -> tuple[Plan, list[Stage]]:
    time = BatchTime(0.0, 1e-6)
    planned = (PlannedStage("a", "cpu", 1, 1, 2, time), PlannedStage("b", "cpu", 1, 1, 2, time))
    return Plan("test", 2, planned), [Stage(name, [sleepless], cap=2) for name in "ab"]


def test_a_case_is_checked_before_it_is_timed() -> None:
    plan, stages = two_stages()

    def check(item: int, value: int) -> None:
        assert value == item + 2

    report = measure(
        Case(plan, stages, range(50), check, 24), count=200, rates=[2000.0], arrivals=50
    )
    data = report.to_json()
    assert data["images_per_s"] > 0  # type: ignore[operator]
    assert report.efficiency == report.images_per_s / min(report.alone_per_s.values())
    assert report.delays[2000.0].p50 <= report.delays[2000.0].p99
    assert data["delay_ms"]["rate"] == 2000.0  # type: ignore[index]

    def wrong(item: int, value: int) -> None:
        assert value == item

    with pytest.raises(AssertionError):
        measure(Case(plan, stages, range(50), wrong, 24), count=200, rates=[], arrivals=0)


def test_runs() -> None:
    _, stages = two_stages()
    whole = run_overlapped(stages, range(100))
    assert whole.values == list(range(2, 102))
    assert sum(r.size for r in whole.records) == 200
    assert run_sequential(stages, range(100), 24) > 0
    assert run_arrivals(stages, range(20), 5000.0).mean > 0
    with pytest.raises(InvalidInputError, match="expected at least 48"):
        run_overlapped(stages, range(10))

    def broken(items: list[int]) -> list[int]:
        raise ValueError("wrong answer")

    with pytest.raises(ValueError, match="wrong answer"):
        run_overlapped([Stage("a", [broken])], range(100))


def test_gantt(tmp_path: Path) -> None:
    records = [
        BatchRecord(stage, worker, 3, 0.1 * i, 0.1 * i + 0.08)
        for stage in ("detect", "encode")
        for worker in range(2)
        for i in range(10)
    ]
    for suffix in (".svg", ".png"):
        file = tmp_path / f"run{suffix}"
        gantt.draw(records, ["detect", "encode"], file, title="A run", seconds=0.5)
        assert file.stat().st_size > 5000
    assert "detect 1" in (tmp_path / "run.svg").read_text()
    with pytest.raises(InvalidInputError, match=r"expected a name that ends in \.png"):
        gantt.draw(records, ["detect", "encode"], tmp_path / "run.gif", title="", seconds=1)


def test_sample_pictures(photos: Path, tmp_path: Path, model: refine_itr.Model) -> None:
    assert len(sample_pictures(photos)) == 6
    made_up = sample_pictures(None)
    assert len(set(made_up)) == 64
    assert 40_000 < len(made_up[0]) < 400_000
    assert model.embed_images(made_up[:2]).shape == (2, model.dim)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(InvalidInputError, match="expected"):
            sample_pictures(folder)


def test_an_unreadable_picture_is_not_measured_with(
    run: Any, bundle: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refine_itr.profiling._SECONDS", 0.01)
    broken = photos / "broken.jpg"
    broken.write_bytes((photos / "red.jpg").read_bytes()[:400])
    assert len(sample_pictures(photos)) == 6
    ask = ("profile", tmp_path / "profile.json", "-m", bundle, "--images")
    measured = run(*ask, photos)
    assert measured.code == 0
    assert f"{broken} is left out: expected a readable picture" in measured.err
    (tmp_path / "bad").mkdir()
    broken.rename(tmp_path / "bad" / "broken.jpg")
    none = run(*ask, tmp_path / "bad")
    assert none.code == 2
    assert "expected photographs; none were found that can be read" in none.err


def test_a_profile_has_the_device_that_was_really_used(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refine_itr.profiling._SECONDS", 0.01)
    for device in ("auto", "cuda:0,1"):
        profile = profile_model(
            bundle, sample_pictures(None)[:2], device=device, threads=2, allow_fallback=True
        )
        assert [o.device for o in profile.stages["detect"]] == ["cpu", "cpu"]
        assert [o.threads for o in profile.stages["detect"]] == [1, 2]
        assert all(0 <= o.wake_s < 1 for options in profile.stages.values() for o in options)


# -- commands


def test_profile_plan_and_run_it(
    run: Any,
    bundle: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refine_itr.profiling._SECONDS", 0.01)
    profile, plan, index = (tmp_path / name for name in ("profile.json", "plan.json", "my.itr"))
    measured = run("profile", profile, "--images", photos, "-m", bundle, "--threads", 2)
    assert measured.code == 0
    assert "detect" in measured.out
    made = run("plan", profile, "--goal", "delay=5000", "--out", plan)
    assert made.code == 0
    assert "predicted:" in made.out
    assert "bound by" in made.out
    assert json.loads(run("plan", profile, "--json").out)["goal"] == "max-throughput"
    added = json.loads(run("index", index, photos, "-m", bundle, "--plan", plan, "--json").out)
    assert added["images"] == 6
    predicted = json.loads(run("simulate", "--plan", plan, "--rate", 10, "--json").out)
    assert predicted["plan"]["images_per_s"] == pytest.approx(10, rel=0.2)


def test_simulate_the_papers_server(run: Any) -> None:
    found = json.loads(run("simulate", "--preset", "paper", "--encoder-ms", 8, "--json").out)
    assert found["as_published"]["ms_per_image"] == pytest.approx(39.8)
    assert found["as_published"]["delay_ms"] == pytest.approx(955, abs=1)
    assert found["overlapped"]["images_per_s"] > found["as_published"]["images_per_s"]
    assert found["our_encoder"]["images_per_s"] == pytest.approx(59.5, rel=0.02)


def test_how_many_cards(run: Any) -> None:
    ask = ("simulate", "--preset", "paper", "--encoder-ms", 8, "--rate", 60, "--json")
    enough = json.loads(run(*ask, "--goal-delay", 500).out)["cards_needed"]
    assert enough["cards"] == 8  # 60 x 0.4032 s / 0.8 of 4 chips
    assert enough["delay_ms"] <= 500
    never = json.loads(run(*ask, "--goal-delay", 300).out)["cards_needed"]
    assert never["cards"] is None
    assert "one chip takes 403 ms for an image alone" in never["text"]
    slow = ("simulate", "--preset", "paper", "--rate", 60, "--goal-delay", 500)
    # 0.8 / (21.3 + 1.7 ms)
    assert "the CPU, which encodes and matches, keeps up with 34.8 images" in run(*slow).out
    ask = ("simulate", "--preset", "paper", "--encoder-ms", 2, "--goal-delay", 5000, "--rate")
    assert "keeps up with 216.2 images a second" in run(*ask, 350).out
    assert "cards: 200 images a second" in run(*ask, 200).out


def test_bench_pipeline(
    run: Any,
    bundle: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refine_itr.profiling._SECONDS", 0.01)
    plan, picture = tmp_path / "plan.json", tmp_path / "run.svg"
    plan.write_text(json.dumps(plan_of(2).to_json()))
    ask = ("bench", "pipeline", "--chips", 2, "--chip-ms", 2, "--dim", 16, "--count", 400,
           "--rate", 100, "--images", photos, "-m", bundle, "--plan", plan)  # fmt: skip
    report = json.loads(run(*ask, "--plot", picture, "--json").out)
    for case in ("stand_in", "cpu"):
        assert report[case]["efficiency"] > 0
        assert report[case]["images_per_s"] > 0
        assert report[case]["delay_ms"]["mean"] > 0
    assert report["stand_in"]["bottleneck"] in ("detect", "encode")
    assert picture.is_file()
    printed = run(*ask).out
    assert "efficiency" in printed
    assert "times one picture alone on the mean" in printed


def test_bench_table4(
    run: Any,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from refine_itr.bench import table4

    monkeypatch.setattr("refine_itr.profiling._SECONDS", 0.01)
    for name, value in (("_CHIPS", 4), ("_CHIP_S", 0.002), ("_DIM", 16), ("_RATE", 200.0)):
        monkeypatch.setattr(table4, name, value)
    columns = json.loads(run("bench", "table4", "-m", bundle, "--count", 700, "--json").out)
    names = [column["name"] for column in columns["columns"]]
    assert names[:3] == ["VSRN-GPU", "Refine-ITR-GPU", "Refine-ITR-Atlas"]
    assert columns["columns"][2]["total_ms"] == 39.8
    assert all(column["images_per_s"] > 0 for column in columns["columns"][3:])


def test_export_detector(run: Any, bundle: Path, tmp_path: Path) -> None:
    ask = ("export-detector", "--soc", "Ascend310P3", "--out", tmp_path / "out", "-m", bundle)
    exported = run(*ask)
    assert exported.code == 0
    assert "atc --framework=5" in exported.out
    assert (tmp_path / "out" / "aipp.cfg").is_file()
    assert "it is there already" in run(*ask).err
    stale = tmp_path / "out" / "detector.om"
    stale.write_bytes(b"of another detector")
    assert run(*ask, "--force").code == 0
    assert not stale.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("simulate",), "expected either --preset paper or --plan"),
        (("simulate", "--preset", "mine"), "expected either --preset paper or --plan"),
        (
            ("simulate", "--preset", "paper", "--goal-delay", 9),
            "expected --preset paper and --rate",
        ),
        (("simulate", "--plan", "none.json"), "there is no such file"),
        (("simulate", "--plan", "x.json", "--cards", 3), "--cards, --encoder-ms: expected"),
        (("simulate", "--plan", "x.json", "--encoder-ms", 3), "expected --preset paper with them"),
        (("plan", "none.json"), "there is no such file"),
        (("export-detector", "--target", "npu", "--out", "x"), "expected ascend; got 'npu'"),
        (("doctor", "--device", "gpu"), "device: expected cpu, cuda:0"),
        (("doctor", "--device", "cuda:0"), "Install onnxruntime-gpu"),
        (("doctor", "--device", "ascend:0"), "export-detector --target ascend"),
    ],
)
def test_mistakes_are_one_line(run: Any, arguments: Any, message: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert result.err.count("\n") == 1
