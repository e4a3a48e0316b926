"""Indexes: additions, both directions, and files that survive crashes and refuse strangers."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from tiny import write_tiny_bundle

import refine_itr
from refine_itr.errors import IndexFileError, InvalidInputError, ModelMismatchError

SENTENCES = ["a red circle", "a green square", "blue"]


@pytest.fixture
def index(model: refine_itr.Model, photos: Path) -> refine_itr.Index:
    index = refine_itr.Index(model)
    index.add_images(photos)
    index.add_texts(SENTENCES)
    return index


def count_embedded(model: refine_itr.Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that grows by the batch size whenever pictures are embedded."""
    batches: list[int] = []
    detect = model.detectors[0].detect

    def counting(pictures):  # type: ignore[no-untyped-def]
        batches.append(len(pictures))
        return detect(pictures)

    monkeypatch.setattr(model.detectors[0], "detect", counting)
    return batches


def test_both_directions(index: refine_itr.Index, photos: Path) -> None:
    assert (index.image_count, index.text_count, len(index)) == (6, 3, 9)
    by_text = index.search("a red circle", k=100)
    assert sorted(hit.item for hit in by_text) == sorted(photos.rglob("*.jpg"))
    assert [hit.rank for hit in by_text] == [1, 2, 3, 4, 5, 6]
    assert [h.score for h in by_text] == sorted((h.score for h in by_text), reverse=True)
    by_image = index.search(photos / "red.jpg", k=2)
    assert len(by_image) == 2
    assert {hit.item for hit in by_image} < set(SENTENCES)


def test_scores_are_inner_products(index: refine_itr.Index, photos: Path) -> None:
    model = index.model
    hit = index.search("blue", k=1)[0]
    expected = model.embed_texts(["blue"])[0] @ model.embed_images([hit.item])[0]
    assert hit.score == pytest.approx(float(expected), abs=1e-5)


def test_similar_pictures_and_sentences(index: refine_itr.Index, photos: Path) -> None:
    assert index.search(photos / "blue.jpg", 1, among="images")[0].item == photos / "blue.jpg"
    assert index.search("blue", 1, among="texts")[0].item == "blue"
    with pytest.raises(InvalidInputError, match="among: expected"):
        index.search("blue", among="videos")  # type: ignore[arg-type]


def test_ids_name_items_over_both_kinds(index: refine_itr.Index) -> None:
    hits = index.search("blue", 100, among="texts") + index.search("blue", 100, among="images")
    assert sorted(hit.id for hit in hits) == list(range(9))


def test_adding_again_embeds_nothing(
    index: refine_itr.Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = count_embedded(index.model, monkeypatch)
    report = index.add_images(photos)
    assert (report.added, report.updated, report.unchanged, batches) == (0, 0, 6, [])
    assert index.add_texts([*SENTENCES, "square", "square"]).added == 1
    assert index.text_count == 4


def test_only_what_is_new_or_changed_is_embedded(
    index: refine_itr.Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red_id = next(h.id for h in index.search("a", 9, among="images") if h.item.name == "red.jpg")
    Image.new("RGB", (50, 50), "blue").save(photos / "red.jpg")
    Image.new("RGB", (50, 50), "blue").save(photos / "new.png")
    batches = count_embedded(index.model, monkeypatch)
    report = index.add_images([photos, photos / "new.png"])
    assert (report.added, report.updated, report.unchanged, sum(batches)) == (1, 1, 5, 2)
    best = {hit.item.name: hit for hit in index.search(photos / "new.png", 2, among="images")}
    assert best.keys() == {"red.jpg", "new.png"}
    assert best["red.jpg"].id == red_id


def test_unreadable_pictures_are_reported_and_skipped(
    model: refine_itr.Model, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "green.jpg").write_bytes((photos / "red.jpg").read_bytes()[:300])
    (photos / "text.jpg").write_text("not a picture")
    (photos / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    index = refine_itr.Index(model)
    with caplog.at_level(logging.WARNING, "refine_itr"):
        report = index.add_images(photos)
    assert report.added == 5
    assert {Path(str(f.item)).name for f in report.failed} == {"green.jpg", "text.jpg", "gone.jpg"}
    assert len(caplog.records) == 3
    assert "skipped" in caplog.text


def test_missing_files_can_be_forgotten(index: refine_itr.Index, photos: Path) -> None:
    (photos / "blue.jpg").unlink()
    assert index.remove_missing() == 1
    assert index.remove_missing() == 0
    hits = index.search("blue", 100)
    assert len(hits) == 5
    assert all(hit.item.is_file() for hit in hits)
    Image.new("RGB", (9, 9)).save(photos / "blue.jpg")
    assert index.add_images(photos).added == 1


def test_a_file_that_comes_back_is_found_again(
    index: refine_itr.Index, photos: Path, tmp_path: Path
) -> None:
    (photos / "blue.jpg").rename(tmp_path / "away.jpg")  # keeps size and time of change
    assert index.remove_missing() == 1
    (tmp_path / "away.jpg").rename(photos / "blue.jpg")
    assert index.add_images(photos).added == 1
    assert index.search(photos / "blue.jpg", 1, among="images")[0].item == photos / "blue.jpg"


def test_bad_arguments(index: refine_itr.Index, photos: Path) -> None:
    for k in (0, -1):
        with pytest.raises(InvalidInputError, match="k: expected at least 1"):
            index.search("blue", k)
    with pytest.raises(InvalidInputError, match="expected a picture or a folder"):
        index.add_images(photos / "none")
    with pytest.raises(InvalidInputError, match="got one str"):
        index.add_texts("a sentence")
    with pytest.raises(InvalidInputError, match="expected a str"):
        index.add_texts([3])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="got an empty one"):
        index.search("  ")


def test_empty(model: refine_itr.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "empty").mkdir()
    index = refine_itr.Index(model)
    with caplog.at_level(logging.WARNING, "refine_itr"):
        assert index.add_images(tmp_path / "empty") == refine_itr.AddReport()
    assert "no pictures found" in caplog.text
    assert index.search("blue") == []
    index.save(tmp_path / "empty.itr")
    assert len(refine_itr.Index.open(tmp_path / "empty.itr", model)) == 0


def test_save_and_open(index: refine_itr.Index, photos: Path, tmp_path: Path) -> None:
    index.save(tmp_path / "my.itr")
    opened = refine_itr.Index.open(str(tmp_path / "my.itr"), index.model)
    for query in ("a red circle", photos / "red.jpg"):
        assert opened.search(query, 9) == index.search(query, 9)
    assert isinstance(opened._images.embeddings, np.memmap)
    assert opened.add_images(photos).unchanged == 6
    Image.new("RGB", (9, 9), "blue").save(photos / "red.jpg")
    assert opened.add_images(photos).updated == 1  # the mapping is copy-on-write
    assert opened.add_texts(["square", "blue"]).added == 1
    opened.save(tmp_path / "my.itr")  # onto the file that is mapped
    again = refine_itr.Index.open(tmp_path / "my.itr", index.model)
    assert again.search("square", 99, among="texts") == opened.search("square", 99, among="texts")
    ids = [hit.id for hit in again.search("a", 99) + again.search("a", 99, among="texts")]
    assert sorted(ids) == list(range(10))
    assert sorted(p.name for p in tmp_path.glob("*.itr*")) == ["my.itr"]


def test_another_models_index_is_refused(index: refine_itr.Index, tmp_path: Path) -> None:
    index.save(tmp_path / "my.itr")
    other = refine_itr.load(write_tiny_bundle(tmp_path / "other", seed=5))
    with pytest.raises(ModelMismatchError, match="made by the model"):
        refine_itr.Index.open(tmp_path / "my.itr", other)


@pytest.mark.parametrize("keep", [0, 4, 9, 200, -1])
def test_truncated_file(keep: int, index: refine_itr.Index, tmp_path: Path) -> None:
    path = tmp_path / "my.itr"
    index.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IndexFileError, match=r"my\.itr: expected an index file"):
        refine_itr.Index.open(path, index.model)


def test_files_that_are_no_index(model: refine_itr.Model, tmp_path: Path) -> None:
    path = tmp_path / "my.itr"
    with pytest.raises(IndexFileError, match="there is none"):
        refine_itr.Index.open(path, model)
    save_file({"x": np.ones(3)}, path)
    with pytest.raises(IndexFileError, match="another safetensors file"):
        refine_itr.Index.open(path, model)
    head = {"format": "refine-itr-index", "model": model.fingerprint}
    save_file({"x": np.ones(3)}, path, head | {"version": "9"})
    with pytest.raises(IndexFileError, match="expected version 1 or 2, got '9'"):
        refine_itr.Index.open(path, model)


@pytest.mark.parametrize(
    "records",
    [b"{}", b"[]", b"\xff", b'{"images": 3, "texts": [], "next_id": 0}',
     b'{"images": [["a", 0, 1, 1]], "texts": [], "next_id": 1}',
     b'{"images": [], "texts": [], "next_id": "x"}'],
)  # fmt: skip
def test_records_that_do_not_fit(records: bytes, model: refine_itr.Model, tmp_path: Path) -> None:
    empty = np.empty((0, model.dim), np.float32)
    tensors = {"images": empty, "texts": empty, "records": np.frombuffer(records, np.uint8)}
    metadata = {"format": "refine-itr-index", "version": "1", "model": model.fingerprint}
    save_file(tensors, tmp_path / "my.itr", metadata)
    with pytest.raises(IndexFileError):
        refine_itr.Index.open(tmp_path / "my.itr", model)


@pytest.mark.parametrize(
    "records",
    [
        {"images": [["a"], ["b", 1, 1, 1]], "texts": [], "next_id": 2},
        {"images": [["a", 0, 1, 1], ["b", 0, 1, 1]], "texts": [], "next_id": 2},
        {"images": [["a", 0, 1, 1], ["a", 1, 1, 1]], "texts": [], "next_id": 2},
        {"images": [["a", 0, 1, 1], ["b", 2, 1, 1]], "texts": [], "next_id": 2},
    ],
    ids=["too short", "one id twice", "one item twice", "an id that is still to come"],
)
def test_records_that_contradict(
    records: dict[str, Any], model: refine_itr.Model, tmp_path: Path
) -> None:
    two, none = np.ones((2, model.dim), np.float32), np.empty((0, model.dim), np.float32)
    stored = np.frombuffer(json.dumps(records).encode(), np.uint8)
    metadata = {"format": "refine-itr-index", "version": "1", "model": model.fingerprint}
    save_file({"images": two, "texts": none, "records": stored}, tmp_path / "my.itr", metadata)
    with pytest.raises(IndexFileError, match="records do not fit"):
        refine_itr.Index.open(tmp_path / "my.itr", model)


def test_embeddings_that_are_not_aligned(index: refine_itr.Index, tmp_path: Path) -> None:
    path = tmp_path / "my.itr"
    index.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size] + b" "  # still a valid header, all data one byte later
    path.write_bytes((size + 1).to_bytes(8, "little") + header + content[8 + size :])
    with pytest.raises(IndexFileError, match="expected data aligned to 4 bytes"):
        refine_itr.Index.open(path, index.model)


def test_a_place_that_cannot_be_written(index: refine_itr.Index, tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="cannot be written"):
        index.save(tmp_path / "no" / "such" / "folder.itr")


SAVER = """
import sys, refine_itr
model = refine_itr.load(sys.argv[1])
index = refine_itr.Index.open(sys.argv[2], model)
index.add_texts([f"a {i}" for i in range(20000)])
print("ready", flush=True)
while True:
    index.save(sys.argv[2])
"""


def test_a_kill_while_saving_leaves_a_whole_file(
    model: refine_itr.Model, index: refine_itr.Index, tmp_path: Path
) -> None:
    bundle, path = write_tiny_bundle(tmp_path / "bundle"), tmp_path / "my.itr"
    index.save(path)
    for delay in (0.0, 0.01, 0.02, 0.05):
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVER, bundle, path], stdout=subprocess.PIPE, text=True
        )
        with saver:
            assert saver.stdout is not None
            assert saver.stdout.readline() == "ready\n"
            time.sleep(delay)
            os.kill(saver.pid, signal.SIGKILL)
        opened = refine_itr.Index.open(path, model)
        assert opened.text_count in (len(SENTENCES), len(SENTENCES) + 20000)
        assert opened.search("a red circle", 1, among="texts")[0].item == "a red circle"
