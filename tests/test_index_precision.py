"""Indexes that search a narrow copy find what the others find; searches among some items only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import refine_itr
from refine_itr.errors import InvalidInputError
from refine_itr.index.gallery import Gallery
from refine_itr.index.matching import top_k
from refine_itr.types import Precision

SENTENCES = ["a red circle", "a green square", "blue", "a dog runs", "two men"]
precisions = pytest.mark.parametrize("precision", ["bf16", "int8"])


def filled(model: refine_itr.Model, photos: Path, precision: Precision) -> refine_itr.Index:
    index = refine_itr.Index(model, precision)
    index.add_images(photos)
    index.add_texts(SENTENCES)
    return index


@precisions
def test_same_hits(
    precision: Precision, model: refine_itr.Model, photos: Path, tmp_path: Path
) -> None:
    plain = filled(model, photos, "fp32")
    plain.save(tmp_path / "index.itr")
    opened = refine_itr.Index.open(tmp_path / "index.itr", model, precision=precision)
    for index in (filled(model, photos, precision), opened):
        assert index.precision == precision
        for query in ("a red circle", "nothing", photos / "red.jpg"):
            assert index.search(query, k=4) == plain.search(query, k=4)


@precisions
def test_the_copy_follows_the_photographs(
    precision: Precision, model: refine_itr.Model, photos: Path, tmp_path: Path
) -> None:
    index = filled(model, photos, precision)
    Image.new("RGB", (50, 40), "yellow").save(photos / "red.jpg")
    Image.new("RGB", (50, 40), "purple").save(photos / "new.jpg")
    (photos / "blue.jpg").unlink()
    report = index.add_images(photos)
    assert (report.added, report.updated, index.remove_missing()) == (1, 1, 1)
    index.save(tmp_path / "index.itr")
    plain = refine_itr.Index.open(tmp_path / "index.itr", model)
    for query in ("a red circle", "nothing", photos / "new.jpg"):
        assert index.search(query) == plain.search(query)


@precisions
def test_a_pipeline_searches_the_copy(
    precision: Precision, model: refine_itr.Model, photos: Path
) -> None:
    index = filled(model, photos, precision)
    pictures = sorted(photos.rglob("*.jpg"))
    with index.pipeline(2) as pipeline:
        outcomes = list(pipeline.run(pictures))
    for picture, outcome in zip(pictures, outcomes, strict=True):
        expected = index.search(picture, 2)
        assert [hit.item for hit in outcome.value] == [hit.item for hit in expected]
        scores = [hit.score for hit in outcome.value]
        assert scores == pytest.approx([hit.score for hit in expected], abs=1e-6)


@precisions
def test_a_gallery_and_its_copy_stay_in_step(precision: Precision) -> None:
    rng = np.random.default_rng(2)
    gallery: Gallery[int] = Gallery.empty(48, precision)
    for step in range(400):
        gallery.put(int(rng.integers(150)), rng.standard_normal(48).astype(np.float32), step)
        if step % 97 == 0:
            gallery.keep(lambda key: key % 5 != 0)
    assert gallery.narrow is not None
    assert len(gallery.narrow) == len(gallery) == len(gallery.embeddings)
    queries = rng.standard_normal((20, 48)).astype(np.float32)
    plain = top_k(queries, gallery.embeddings, 7)
    narrow = top_k(queries, gallery.embeddings, 7, narrow=gallery.narrow)
    np.testing.assert_array_equal(narrow[0], plain[0])
    np.testing.assert_array_equal(narrow[1], plain[1])


def test_the_rows_of_ids_follow_changes_and_are_not_looked_for_again() -> None:
    class Walked(list[int]):
        def __iter__(self) -> Iterator[int]:
            raise AssertionError("all ids were walked through")

    def expect_right_masks() -> None:
        ids, gallery.ids = gallery.ids, Walked(gallery.ids)
        for wanted in ([], [0, 3, 8], [2, 7, 7], [-1, 10**30]):
            expected = np.isin(np.array(ids, np.int64), [int(i) for i in wanted if i < 100])
            np.testing.assert_array_equal(gallery.mask(wanted), expected)
        gallery.ids = ids

    gallery: Gallery[str] = Gallery.empty(1)
    for new_id in range(10):
        gallery.put(f"key {new_id}", np.ones(1, np.float32), new_id)
        expect_right_masks()
    gallery.keep(lambda key: key not in ("key 0", "key 7"))
    expect_right_masks()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_only_some_items(precision: Precision, model: refine_itr.Model, photos: Path) -> None:
    index = filled(model, photos, precision)
    hits = index.search("a red circle", k=100)
    wanted = {hits[1].id, hits[4].id}
    found = index.search("a red circle", k=100, only=wanted)
    assert [(hit.item, hit.score) for hit in found] == [
        (hit.item, hit.score) for hit in hits if hit.id in wanted
    ]
    assert [hit.rank for hit in found] == [1, 2]
    # Ids of sentences, and of nothing, count for nothing.
    assert index.search("a red circle", only=[6, 7, 10**30, -1]) == []
    assert index.search("a red circle", only=[]) == []
    assert len(index.search("a red circle", k=1, only=np.array(list(wanted)))) == 1


@pytest.mark.parametrize("only", [3, "12", ["1"], [1.5], None.__class__])
def test_ids_that_are_none(only: Any, model: refine_itr.Model, photos: Path) -> None:
    index = filled(model, photos, "fp32")
    with pytest.raises(InvalidInputError, match=r"^only: expected ids \(int\); got "):
        index.search("blue", only=only)


def test_a_precision_that_is_none(model: refine_itr.Model) -> None:
    message = "precision: expected one of fp32, bf16, int8; got 'fp16'"
    with pytest.raises(InvalidInputError, match=message):
        refine_itr.Index(model, "fp16")  # type: ignore[arg-type]
