"""Indexes that correct hubs: ranking, relevance, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tiny import tiny_calibration

import refine_itr
from refine_itr.errors import IndexFileError, InvalidInputError
from refine_itr.scoring import QueryBank
from refine_itr.types import Precision

SENTENCES = ["a red circle", "a green square", "blue", "a a a", "square circle"]


@pytest.fixture
def index(calibrated: refine_itr.Model, photos: Path) -> refine_itr.Index:
    index = refine_itr.Index(calibrated, query_bank="model")
    index.add_images(photos)
    index.add_texts(SENTENCES)
    return index


def another_bank() -> QueryBank:
    return tiny_calibration(seed=8).bank


@pytest.mark.parametrize("among", ["images", "texts"])
def test_scores_are_inner_products_plus_offsets(
    among: str, index: refine_itr.Index, photos: Path
) -> None:
    model, bank = index.model, tiny_calibration().bank
    if among == "images":
        query, asked = "a red circle", model.embed_texts(["a red circle"])[0]
        items = {p: model.embed_images([p]) for p in photos.rglob("*.jpg")}
    else:
        query, asked = photos / "red.jpg", model.embed_images([photos / "red.jpg"])[0]
        items = {s: model.embed_texts([s]) for s in SENTENCES}
    expected = {i: float(e[0] @ asked + bank.offsets(e, among)[0]) for i, e in items.items()}
    hits = index.search(query, 99)
    assert [hit.item for hit in hits] == sorted(expected, key=lambda i: -expected[i])
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.item], abs=1e-5)


def test_the_order_changes(index: refine_itr.Index, photos: Path) -> None:
    corrected = [hit.item for hit in index.search(photos / "red.jpg", 9)]
    index.set_query_bank(None)
    assert [hit.item for hit in index.search(photos / "red.jpg", 9)] != corrected


def test_two_of_a_kind_are_compared_plainly(index: refine_itr.Index, photos: Path) -> None:
    queries = {"images": photos / "blue.jpg", "texts": "blue"}
    found = {kind: index.search(query, 9, among=kind) for kind, query in queries.items()}
    index.set_query_bank(None)
    for kind, query in queries.items():
        plain = index.search(query, 9, among=kind)
        assert [hit.item for hit in found[kind]] == [hit.item for hit in plain]
        scores = [hit.score for hit in plain]
        assert [hit.score for hit in found[kind]] == pytest.approx(scores, abs=1e-6)
        assert {hit.relevance for hit in found[kind]} == {None}


def test_when_the_bank_comes_does_not_matter(
    index: refine_itr.Index, calibrated: refine_itr.Model, photos: Path
) -> None:
    later = refine_itr.Index(calibrated)
    later.add_images(photos)
    later.add_texts(SENTENCES[:2])
    later.set_query_bank("model")
    later.add_texts(SENTENCES[2:])
    for query in ("a red circle", photos / "red.jpg"):
        hits, expected = later.search(query, 9), index.search(query, 9)
        assert [hit.item for hit in hits] == [hit.item for hit in expected]
        assert [h.score for h in hits] == pytest.approx([h.score for h in expected], abs=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_narrow_copy_has_the_offsets(
    precision: Precision, index: refine_itr.Index, photos: Path, tmp_path: Path
) -> None:
    index.save(tmp_path / "index.itr")
    opened = refine_itr.Index.open(tmp_path / "index.itr", index.model, precision=precision)
    later = refine_itr.Index(index.model, precision)
    later.add_texts(SENTENCES)
    later.set_query_bank("model")
    picture = photos / "red.jpg"
    for query, narrow in (("blue", opened), (picture, opened), (picture, later)):
        hits, expected = narrow.search(query, 4), index.search(query, 4)
        assert [(h.item, h.score) for h in hits] == [(h.item, h.score) for h in expected]
        assert [hit.relevance for hit in hits] == [hit.relevance for hit in expected]


def test_among_some_items(index: refine_itr.Index) -> None:
    hits = index.search("a red circle", 9)
    wanted = {hits[1].id, hits[3].id}
    found = index.search("a red circle", 9, only=wanted)
    assert [(h.id, h.score) for h in found] == [(h.id, h.score) for h in hits if h.id in wanted]
    expected = -tiny_calibration().bank.offsets(index.model.embed_texts(["a red circle"]), "texts")
    relevance = tiny_calibration().relevance["images"]([h.score for h in found], expected[0], 2)
    assert [hit.relevance for hit in found] == pytest.approx(relevance, abs=1e-5)
    assert index.search("a red circle", only=[]) == []


def test_a_changed_photograph_gets_its_own_offset(index: refine_itr.Index, photos: Path) -> None:
    Image.new("RGB", (50, 50), "blue").save(photos / "red.jpg")
    Image.new("RGB", (50, 50), "blue").save(photos / "new.jpg")
    assert index.add_images(photos).updated == 1
    scores = {hit.item.name: hit.score for hit in index.search("a red circle", 9)}
    assert scores["red.jpg"] == pytest.approx(scores["new.jpg"], abs=1e-6)


def test_without_a_bank_nothing_is_different(
    calibrated: refine_itr.Model, model: refine_itr.Model, photos: Path
) -> None:
    for query in ("blue", photos / "red.jpg"):
        found = []
        for made_by in (calibrated, model):
            index = refine_itr.Index(made_by)
            index.add_images(photos)
            index.add_texts(SENTENCES)
            found.append(index.search(query, 9))
        assert [hit.item for hit in found[0]] == [hit.item for hit in found[1]]
        # Batches of other sizes round the embeddings otherwise.
        scores = [hit.score for hit in found[1]]
        assert [hit.score for hit in found[0]] == pytest.approx(scores, abs=1e-6)
        assert {hit.relevance for hit in found[0]} == {None}


def test_relevance_is_that_of_the_calibration(index: refine_itr.Index, photos: Path) -> None:
    calibration = tiny_calibration()
    query = index.model.embed_texts(["a red circle"])
    expected = -calibration.bank.offsets(query, "texts")[0]
    for hit in index.search("a red circle", 9):
        relevance = float(calibration.relevance["images"](hit.score, expected, 6))
        assert hit.relevance == pytest.approx(relevance, abs=1e-5)
    relevances = [hit.relevance for hit in index.search(photos / "red.jpg", 9)]
    assert None not in relevances
    assert relevances == sorted(relevances, reverse=True)


def test_the_least_relevance(index: refine_itr.Index, photos: Path) -> None:
    for query in ("a red circle", photos / "red.jpg"):
        hits = index.search(query, 9)
        middle = hits[2].relevance
        assert index.search(query, 9, min_relevance=middle) == hits[:3]
        assert index.search(query, 2, min_relevance=middle) == hits[:2]
        assert index.search(query, 9, min_relevance=0) == hits
        assert index.search(query, 9, min_relevance=1) == []


def test_the_pipeline_finds_the_same(index: refine_itr.Index, photos: Path) -> None:
    pictures = sorted(photos.rglob("*.jpg"))
    expected = [index.search(picture, 3) for picture in pictures]
    least = (expected[0][1].relevance + expected[0][2].relevance) / 2
    with index.pipeline(3) as pipeline:
        found = [outcome.value for outcome in pipeline.run(pictures)]
    with index.pipeline(3, min_relevance=least) as pipeline:
        relevant = [outcome.value for outcome in pipeline.run(pictures)]
    for hits, wanted, kept in zip(found, expected, relevant, strict=True):
        assert [hit.item for hit in hits] == [hit.item for hit in wanted]
        relevances = [hit.relevance for hit in wanted]
        assert [hit.relevance for hit in hits] == pytest.approx(relevances, abs=1e-5)
        assert [h.item for h in kept] == [h.item for h in hits if h.relevance >= least]
    assert len(relevant[0]) == 2


def test_a_bank_of_ones_own(index: refine_itr.Index) -> None:
    texts = index.model.embed_texts(["a red circle", "green", "a blue square"])
    index.set_query_bank(QueryBank(texts))
    hits = index.search("a red circle", 9)
    assert {hit.relevance for hit in hits} == {None}  # it was fitted with another bank
    with pytest.raises(InvalidInputError, match="a bank that the model was not calibrated with"):
        index.search("a red circle", min_relevance=0.5)
    with pytest.raises(InvalidInputError, match="a bank that the model was not calibrated with"):
        index.stages(min_relevance=0.5)


def test_bad_arguments(index: refine_itr.Index, model: refine_itr.Model, photos: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a model that brings one"):
        refine_itr.Index(model, query_bank="model")
    with pytest.raises(InvalidInputError, match="expected a QueryBank, 'model' or None; got 'x'"):
        index.set_query_bank("x")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"expected a QueryBank.* got array"):
        index.set_query_bank(np.ones((2, 12)))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="of length 12, the model's; got 5"):
        index.set_query_bank(QueryBank(np.ones((2, 5), np.float32)))
    for wrong in (-0.1, 1.1, float("nan"), "0.5"):
        with pytest.raises(InvalidInputError, match="min_relevance: expected 0 to 1"):
            index.search("blue", min_relevance=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="got photographs that find photographs"):
        index.search(photos / "red.jpg", among="images", min_relevance=0.5)
    assert index.query_bank is not None  # what was refused has changed nothing
    index.set_query_bank(None)
    with pytest.raises(InvalidInputError, match="sentences to find photographs; got no query bank"):
        index.search("blue", min_relevance=0.5)


def test_save_and_open(index: refine_itr.Index, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "my.itr"
    index.save(path)
    opened = refine_itr.Index.open(path, index.model)
    for query in ("a red circle", photos / "red.jpg"):
        assert opened.search(query, 9) == index.search(query, 9)
    assert isinstance(opened._images.embeddings, np.memmap)
    assert opened.add_texts(["green", "blue"]).added == 1
    opened.save(path)  # onto the file that is mapped
    again = refine_itr.Index.open(path, index.model)
    found = again.search(photos / "red.jpg", 9)
    assert found == opened.search(photos / "red.jpg", 9)
    assert len(found) == 6


def test_a_foreign_bank_is_kept_and_tells_no_relevance(
    index: refine_itr.Index, tmp_path: Path
) -> None:
    index.set_query_bank(another_bank())
    index.save(tmp_path / "my.itr")
    opened = refine_itr.Index.open(tmp_path / "my.itr", index.model)
    assert opened.search("blue", 9) == index.search("blue", 9)
    assert opened.search("blue", 1)[0].relevance is None
    opened.set_query_bank("model")
    assert opened.search("blue", 1)[0].relevance is not None


def test_files_of_version_one(
    index: refine_itr.Index, calibrated: refine_itr.Model, photos: Path, tmp_path: Path
) -> None:
    """Without a bank the file is what it was before there were banks, and such a file opens."""
    path = tmp_path / "my.itr"
    index.set_query_bank(None)
    index.save(path)
    with safe_open(path, framework="np") as file:
        assert file.metadata()["version"] == "1"
        assert sorted(file.keys()) == ["images", "records", "texts"]
        assert file.get_slice("images").get_shape() == [6, 12]
    # Written by hand, as it has always been.
    embedding = calibrated.embed_texts(["blue"])
    records = {"next_id": 1, "images": [], "texts": [["blue", 0]]}
    tensors = {
        "images": np.empty((0, 12), np.float32),
        "texts": embedding,
        "records": np.frombuffer(json.dumps(records).encode(), np.uint8),
    }
    head = {"format": "refine-itr-index", "version": "1", "model": calibrated.fingerprint}
    save_file(tensors, path, head)
    opened = refine_itr.Index.open(path, calibrated)
    assert opened.query_bank is None
    assert opened.search(photos / "red.jpg", 1)[0].item == "blue"
    opened.set_query_bank("model")
    assert opened.search(photos / "red.jpg", 1)[0].relevance is not None


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"bank.texts": None}, {}, "expected an index file"),
        ({"bank.texts": np.ones((2, 5), np.float16)}, {}, "of one length"),
        ({"bank.images": np.ones((2, 12), np.int16)}, {}, "expected floats"),
        ({"bank.images": np.full((2, 12), np.inf, np.float16)}, {}, "expected finite"),
        (
            {n: np.ones((2, 5), np.float16) for n in ("bank.texts", "bank.images")},
            {}, "records do not fit",
        ),
        ({"images": np.ones((6, 12), np.float32)}, {}, "records do not fit"),
        ({}, {"temperature": "x"}, "could not convert"),
        ({}, {"temperature": "0"}, "temperature: expected 0.001"),
        ({}, {"temperature": None}, "temperature"),
        ({}, {"version": "1"}, "records do not fit"),
        ({}, {"version": "3"}, "expected version 1 or 2, got '3'"),
    ],
)  # fmt: skip
def test_damaged_files(
    tensors: dict[str, np.ndarray | None], metadata: dict[str, str | None], message: str,
    index: refine_itr.Index, tmp_path: Path,
) -> None:  # fmt: skip
    path = tmp_path / "my.itr"
    index.save(path)
    with safe_open(path, framework="np") as file:
        head = file.metadata() | metadata
    content = load_file(path) | tensors
    save_file(
        {name: array for name, array in content.items() if array is not None},
        path,
        {name: text for name, text in head.items() if text is not None},
    )
    with pytest.raises(IndexFileError, match=message):
        refine_itr.Index.open(path, index.model)


def test_search_in_one_call(
    index: refine_itr.Index, calibrated: refine_itr.Model, model: refine_itr.Model,
    photos: Path, tmp_path: Path,
) -> None:  # fmt: skip
    expected = [(hit.item, hit.relevance) for hit in index.search("a red circle", 9)]
    plain, corrected = tmp_path / "plain.itr", tmp_path / "corrected.itr"
    index.save(corrected)
    index.set_query_bank(None)
    index.save(plain)
    for gallery in (photos, plain, corrected):
        hits = refine_itr.search("a red circle", gallery, 9, model=calibrated, correct_hubs=True)
        assert [hit.item for hit in hits] == [item for item, _ in expected]
        relevances = [relevance for _, relevance in expected]
        assert [hit.relevance for hit in hits] == pytest.approx(relevances, abs=1e-5)
    least = expected[2][1] - 1e-4
    few = refine_itr.search("a red circle", photos, 9, model=calibrated, min_relevance=least)
    assert [hit.item for hit in few] == [item for item, _ in expected[:3]]
    # The folder's embeddings are shared with searches that do not correct.
    assert refine_itr.search("a red circle", photos, 1, model=calibrated)[0].relevance is None
    with pytest.raises(InvalidInputError, match="expected a model that brings one"):
        refine_itr.search("a red circle", photos, model=model, min_relevance=0.5)
    with pytest.raises(InvalidInputError, match="got no query bank"):
        refine_itr.search("a red circle", index, min_relevance=0.5)


def test_search_a_list_in_one_call(
    index: refine_itr.Index, calibrated: refine_itr.Model, photos: Path
) -> None:
    query = photos / "red.jpg"
    expected = index.search(query, 9)
    hits = refine_itr.search(query, SENTENCES, 9, model=calibrated, correct_hubs=True)
    assert [hit.item for hit in hits] == [hit.item for hit in expected]
    assert hits[0].relevance == pytest.approx(expected[0].relevance, abs=1e-5)
    assert refine_itr.search("a", [], model=calibrated, correct_hubs=True) == []
    with pytest.raises(InvalidInputError, match="got photographs that find photographs"):
        refine_itr.search(query, [query], model=calibrated, min_relevance=0.1)


def test_an_empty_index(calibrated: refine_itr.Model, tmp_path: Path) -> None:
    index = refine_itr.Index(calibrated, query_bank="model")
    assert index.search("blue") == []
    index.save(tmp_path / "my.itr")
    opened = refine_itr.Index.open(tmp_path / "my.itr", calibrated)
    opened.add_texts(SENTENCES)
    assert len(opened.search("blue", among="texts")) == 5
