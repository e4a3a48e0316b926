"""Making a bank and fitting relevance: the functions, and the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import refine_itr
from refine_itr.bundle import read_bundle
from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.evaluation import EmbeddedPairs, calibrate, make_bank, measure_recalls
from refine_itr.evaluation.calibrate import centres
from refine_itr.scoring import QueryBank

COLOURS = ("red", "green", "blue", "white", "black", "yellow")


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def world(photographs: int, seed: int, hubs: float = 1) -> EmbeddedPairs:
    """Three sentences a photograph, near it but for noise.

    Sentences lean one way, which photographs share in different measure: some are hubs.
    """
    rng = np.random.default_rng(seed)
    common = np.zeros(32)
    common[0] = 1
    images = rng.normal(size=(photographs, 32)) / np.sqrt(32)
    owner = np.repeat(np.arange(photographs), 3)
    texts = images[owner] + rng.normal(0, 0.25, (len(owner), 32)) + 0.8 * common
    images = images + hubs * rng.random((photographs, 1)) * common
    return EmbeddedPairs(unit(images), unit(texts), owner)


def test_a_bank_of_other_pairs_undoes_hubs() -> None:
    pairs = world(200, 0, hubs=3)
    bank = make_bank(world(600, 1, hubs=3), 400, pairs)
    assert (len(bank.texts), len(bank.images)) == (400, 400)
    data = (pairs.images, pairs.texts, pairs.owner)
    assert measure_recalls(*data, bank=bank).rsum > measure_recalls(*data).rsum + 20


def test_relevance_holds_where_it_was_not_fitted() -> None:
    bank = make_bank(world(600, 1), 100, world(200, 2))
    calibration, reliability = calibrate(world(400, 0), bank)
    assert calibration.bank is bank
    for kind in ("images", "texts"):
        assert calibration.relevance[kind].score > 0
        well_filled = [b for b in reliability[kind].bins if b.hits >= 100]
        assert len(well_filled) >= 4
        for b in well_filled:
            assert b.fits == pytest.approx(b.relevance, abs=0.12)
        half = next(cut for cut in reliability[kind].cuts if cut.min_relevance == 0.5)
        assert half.fits is not None
        assert half.fits >= 0.5


def test_a_part_of_the_pairs() -> None:
    pairs = world(10, 0)
    keep = np.arange(10) % 3 == 0
    part = pairs.part(keep)
    np.testing.assert_array_equal(part.images, pairs.images[keep])
    assert part.owner.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    np.testing.assert_array_equal(part.texts[3:6], pairs.texts[9:12])


def test_centres() -> None:
    rng = np.random.default_rng(0)
    corners = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    rows = (np.repeat(corners, 50, axis=0) + rng.normal(0, 0.01, (150, 2))).astype(np.float32)
    found = centres(rows, 20)
    assert (found.shape, found.dtype) == ((20, 2), np.float32)
    for centre in found:
        assert np.linalg.norm(corners - centre, axis=1).min() < 0.05
    np.testing.assert_array_equal(found, centres(rows, 20))  # the same every time
    assert centres(rows, 150) is rows
    repeated = np.repeat(corners, 50, axis=0)
    assert np.isfinite(centres(repeated, 20)).all()  # more groups than distinct rows


def test_too_little_data() -> None:
    bank = QueryBank(np.eye(3, dtype=np.float32))
    few = EmbeddedPairs(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), np.arange(3))
    with pytest.raises(DatasetError, match="expected at least 4 photographs; got 3"):
        calibrate(few, bank)
    alike = EmbeddedPairs(
        np.eye(4, 3, dtype=np.float32), np.empty((0, 3), np.float32), np.empty(0, int)
    )
    with pytest.raises(DatasetError, match="too few photographs to tell what fits"):
        calibrate(alike, bank)
    with pytest.raises(InvalidInputError, match="bank size: expected at least 1, got 0"):
        make_bank(few, 0, few)


@pytest.fixture
def captions(photos: Path, tmp_path: Path) -> Path:
    file = tmp_path / "captions.jsonl"
    names = {path.stem: path.relative_to(photos) for path in photos.rglob("*.jpg")}
    rows = [{"image": str(names[c]), "captions": [f"a {c} circle", c]} for c in COLOURS]
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return file


def test_the_command(run, bundle: Path, photos: Path, captions: Path) -> None:  # type: ignore[no-untyped-def]
    data = ("--data", captions, "--images", photos)
    none_yet = run("calibrate", bundle, *data)
    assert none_yet.code == 2
    assert "give --bank-data" in none_yet.err
    fingerprint = read_bundle(bundle).fingerprint

    made = run("calibrate", bundle, *data, "--bank-data", captions, "--bank-size", 5, "--json")
    assert made.code == 0
    report = json.loads(made.out)
    assert (report["bank"]["texts"], report["bank"]["images"]) == (5, 5)
    assert report["t2i"]["bins"][0].keys() == {"low", "high", "hits", "relevance", "fits"}
    written = read_bundle(bundle)
    assert written.fingerprint == fingerprint
    assert written.calibration is not None
    assert written.calibration.bank.temperature == report["bank"]["temperature"]

    again = run("calibrate", bundle, *data)  # keeps the bank
    assert again.code == 0
    assert "a bank of 5 sentences and 5 photographs" in again.out
    kept = read_bundle(bundle).calibration
    assert kept is not None
    assert kept.bank.fingerprint == written.calibration.bank.fingerprint
    for kind, relevance in written.calibration.relevance.items():
        weights = dataclasses.astuple(relevance)
        # Other batches round the embeddings otherwise.
        assert dataclasses.astuple(kept.relevance[kind]) == pytest.approx(weights, abs=1e-3)

    measured = json.loads(run("eval", *data, "-m", bundle, "--correct-hubs", "--json").out)
    assert measured == report["corrected"]
    assert json.loads(run("eval", *data, "-m", bundle, "--json").out) == report["plain"]


def test_search_and_index(  # type: ignore[no-untyped-def]
    run, calibrated_bundle: Path, photos: Path, tmp_path: Path
) -> None:
    model, file, queries = ("-m", calibrated_bundle), tmp_path / "my.itr", tmp_path / "q.txt"
    query = ("--text", "a red circle", *model)
    hits = json.loads(run("search", photos, *query, "--correct-hubs", "--json").out)["hits"]
    first, second, third = (hit["relevance"] for hit in hits[:3])
    least = (second + third) / 2
    assert 0 < third < second < first < 1
    cut = run("search", photos, *query, "--min-relevance", least)
    assert f"{second:4.2f}  {hits[1]['item']}" in cut.out
    assert hits[2]["item"] not in cut.out
    assert "no hit has" not in cut.err
    none = run("search", photos, *query, "--min-relevance", 1)
    assert "no hit has a relevance of 1 or more" in none.err
    plain = json.loads(run("search", photos, *query, "--json").out)["hits"]
    assert {hit["relevance"] for hit in plain} == {None}

    assert run("index", file, photos, "--query-bank", "model", *model).code == 0
    found = json.loads(run("search", file, *query, "--json").out)["hits"]
    assert [hit["item"] for hit in found] == [hit["item"] for hit in hits]
    relevances = [hit["relevance"] for hit in hits]
    assert [hit["relevance"] for hit in found] == pytest.approx(relevances, abs=1e-5)
    page = tmp_path / "page.html"
    assert run("search", file, *query, "--html", page).code == 0
    assert f"relevance {second:.2f}" in page.read_text("utf-8")

    queries.write_text("a red circle\na green square\n", "utf-8")
    own = run("index", file, "--query-bank", queries, *model)
    assert own.code == 0
    assert "may rank worse than none" in own.err
    others = json.loads(run("search", file, *query, "--json").out)["hits"]
    assert {hit["relevance"] for hit in others} == {None}
    assert run("index", file, "--query-bank", "none", *model).code == 0
    again = json.loads(run("search", file, *query, "--json").out)["hits"]
    assert [hit["item"] for hit in again] == [hit["item"] for hit in plain]
    assert {hit["relevance"] for hit in again} == {None}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["search", "{photos}", "--text", "a", "--correct-hubs", "-m", "{bundle}"], "brings one"),
        (["search", "{photos}", "--text", "a", "--min-relevance", "2", "-m", "{bundle}"], "--min"),
        (["search", "{photos}", "--text", "a", "--min-relevance", "1", "-m", "{bundle}"], "brings"),
        (
            ["eval", "--data", "{data}", "--images", "{photos}", "-m", "{bundle}",
             "--correct-hubs"],
            "brings one",
        ),
        (
            ["eval", "--data", "{data}", "--images", "{photos}", "-m", "{bundle}",
             "-m", "{bundle}", "--correct-hubs"],
            "--correct-hubs: expected one model; got 2",
        ),
        (["index", "x.itr", "--query-bank", "model", "-m", "{bundle}"], "brings one"),
        (["index", "x.itr", "--query-bank", "none.txt", "-m", "{bundle}"], "No such file"),
        (["index", "x.itr", "--query-bank", "{empty}", "-m", "{bundle}"], "at least one query"),
        (["calibrate", "no", "--data", "{data}", "--images", "{photos}"], "bundle's folder"),
        (["calibrate", "{bundle}", "--data", "no", "--images", "{photos}"], "No such file"),
        (
            ["calibrate", "{bundle}", "--data", "{data}", "--images", "{photos}",
             "--bank-data", "no"],
            "No such file",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(  # type: ignore[no-untyped-def]
    args: list[str], message: str, run, bundle: Path, photos: Path, captions: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    places = {"photos": photos, "bundle": bundle, "data": captions, "empty": empty}
    result = run(*(arg.format(**places) for arg in args))
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "x.itr").exists()


def test_the_default_bundle_on_flickr8k(flickr8k: Path) -> None:
    """The numbers of docs/scores.md: what correction brings, through the shipped path."""
    from refine_itr.evaluation import read_captions

    model = refine_itr.load()
    assert model.calibration is not None
    pairs = EmbeddedPairs.of(model, read_captions(flickr8k / "val.jsonl", flickr8k / "images"))
    data = (pairs.images, pairs.texts, pairs.owner)
    gain = measure_recalls(*data, bank=model.calibration.bank).rsum - measure_recalls(*data).rsum
    assert gain == pytest.approx(15.9, abs=1)
    _, reliability = calibrate(pairs, model.calibration.bank)
    for curve in reliability.values():
        half = next(cut for cut in curve.cuts if cut.min_relevance == 0.5)
        assert half.hits > 300
        assert half.fits is not None
        assert half.fits >= 0.5
