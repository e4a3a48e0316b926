"""``refine_itr.search`` and ``Model``: every kind of query and gallery."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import refine_itr
from refine_itr.errors import InvalidInputError, PictureError


def test_a_sentence_finds_photographs(model: refine_itr.Model, photos: Path) -> None:
    hits = refine_itr.search("a red circle", photos, k=2, model=model)
    assert len(hits) == 2
    assert all(hit.item.is_relative_to(photos) for hit in hits)
    assert hits == refine_itr.search("a red circle", str(photos), k=2, model=model)


def test_a_folder_is_embedded_once_and_watched(
    model: refine_itr.Model, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(refine_itr.search("a", photos, 99, model=model)) == 6
    (photos / "red.jpg").unlink()
    Image.new("RGB", (9, 9)).save(photos / "new.png")
    names = {hit.item.name for hit in refine_itr.search("a", photos, 99, model=model)}
    assert "new.png" in names
    assert "red.jpg" not in names
    # A sentence over an unchanged folder embeds no picture.
    monkeypatch.setattr(model.detectors[0], "detect", None)
    assert len(refine_itr.search("a", photos, 99, model=model)) == 6


def test_every_kind_of_picture_query(model: refine_itr.Model, photos: Path) -> None:
    path = photos / "red.jpg"
    sentences = ["a red circle", "green", "blue square"]
    with Image.open(path) as image:
        image.load()
    queries = [path, path.read_bytes(), image, np.asarray(image)]
    results = [refine_itr.search(query, sentences, k=9, model=model) for query in queries]
    for hits in results:
        assert [hit.item for hit in hits] == [hit.item for hit in results[0]]
        assert [hit.score for hit in hits] == pytest.approx([h.score for h in results[0]], abs=1e-6)
    assert sorted(hit.item for hit in results[0]) == sorted(sentences)


def test_a_list_of_pictures_gives_its_own_elements(model: refine_itr.Model, photos: Path) -> None:
    gallery = [
        photos / "red.jpg",
        np.zeros((9, 9, 3), np.uint8),
        (photos / "blue.jpg").read_bytes(),
    ]
    hits = refine_itr.search(photos / "blue.jpg", gallery, k=3, model=model)
    assert hits[0].item is gallery[2]
    assert hits[0].id == 2
    assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_an_index_or_its_file(model: refine_itr.Model, tmp_path: Path) -> None:
    index = refine_itr.Index(model)
    index.add_texts(["red", "green"])
    index.save(tmp_path / "my.itr")
    expected = index.search("red", 1)
    assert refine_itr.search("red", index, 1) == expected
    assert refine_itr.search("red", tmp_path / "my.itr", 1, model=model) == expected


def test_a_model_by_its_folder(bundle: Path) -> None:
    hits = refine_itr.search("red", ["red", "blue"], k=1, model=bundle)
    assert [(hit.item, hit.rank) for hit in hits] == [("red", 1)]
    assert hits[0].score == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one(k: int, model: refine_itr.Model) -> None:
    with pytest.raises(InvalidInputError, match="k: expected at least 1"):
        refine_itr.search("a", ["b"], k=k, model=model)


def test_bad_galleries(model: refine_itr.Model, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a folder or an index file"):
        refine_itr.search("a", tmp_path / "none", model=model)
    with pytest.raises(InvalidInputError, match="1 sentences among 2 items"):
        refine_itr.search("a", ["a", tmp_path / "b.jpg"], model=model)  # type: ignore[list-item]
    with pytest.raises(PictureError, match=r"b\.jpg"):
        refine_itr.search("a", [tmp_path / "b.jpg"], model=model)
    assert refine_itr.search("a", [], model=model) == []


def test_embeddings_are_unit_vectors(model: refine_itr.Model, photos: Path) -> None:
    images = model.embed_images(photos.rglob("*.jpg"))
    texts = model.embed_texts(["a red circle", "", "word " * 1000])
    for embeddings, n in ((images, 6), (texts[[0, 2]], 2)):
        assert embeddings.shape == (n, model.dim)
        assert embeddings.dtype == np.float32
        assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(n), abs=1e-5)
    assert (texts[1] == 0).all()  # nothing was said
    assert model.embed_images([]).shape == model.embed_texts([]).shape == (0, model.dim)


def test_the_order_and_the_batch_do_not_matter(model: refine_itr.Model, photos: Path) -> None:
    paths = sorted(photos.rglob("*.jpg")) * 8  # several batches
    together = model.embed_images(paths)
    alone = np.concatenate([model.embed_images([path]) for path in paths[:6]] * 8)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    sentences = ["a", "a red circle", "", "blue blue blue blue", "nonsense word"]
    apart = np.concatenate([model.embed_texts([sentence]) for sentence in sentences])
    np.testing.assert_allclose(model.embed_texts(sentences), apart, atol=1e-6)


def test_bad_things_to_embed(model: refine_itr.Model, tmp_path: Path) -> None:
    for wrong in ("photo.jpg", tmp_path / "photo.jpg", b"..", 3):
        with pytest.raises(InvalidInputError, match="expected several pictures"):
            model.embed_images(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="a str is a sentence"):
        model.embed_images(["photo.jpg"])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="got one str"):
        model.embed_texts("a")
    with pytest.raises(InvalidInputError, match="expected a str; got int"):
        model.embed_texts([1])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="threads: expected 0"):
        refine_itr.load(threads=-1)


def test_many_threads_at_once(model: refine_itr.Model, photos: Path) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    sentences = ["a red circle", "blue", "a green square"]
    images, texts = model.embed_images(paths), model.embed_texts(sentences)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(10):
            if not np.allclose(model.embed_images(paths), images, atol=1e-6):
                wrong.append("images")
            if not np.allclose(model.embed_texts(sentences), texts, atol=1e-6):
                wrong.append("texts")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_folder_from_many_threads(model: refine_itr.Model, photos: Path) -> None:
    expected = refine_itr.search("a red circle", photos, 6, model=model)
    found: list[list[refine_itr.Hit]] = []

    def work(number: int) -> None:
        Image.new("RGB", (9, 9)).save(photos / f"new{number}.png")
        found.append(refine_itr.search("a red circle", photos, 99, model=model))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for hits in found:
        assert {hit.item: hit.score for hit in expected}.items() <= {
            hit.item: hit.score for hit in hits
        }.items()
    assert len(refine_itr.search("a", photos, 99, model=model)) == 10
