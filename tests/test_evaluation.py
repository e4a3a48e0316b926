"""Recalls against a ranking by hand, and the reader of captions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refine_itr
from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.evaluation import evaluate, measure_recalls, read_captions


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_recalls_equal_a_full_ranking(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, 4)).astype(np.float32)
    texts = rng.normal(size=(m, 4)).astype(np.float32)
    owner = rng.integers(0, n, m)
    scores = images.astype(np.float64) @ texts.T.astype(np.float64)
    recalls = measure_recalls(images, texts, owner)

    def percent(ranks: list[float], depth: int) -> float:
        return 100.0 * float(np.mean([rank < depth for rank in ranks]))

    # Rank of the best right answer: how many wrong ones score higher.
    i2t = [
        min((int((scores[i] > scores[i, j]).sum()) for j in np.flatnonzero(owner == i)), default=99)
        for i in range(n)
    ]
    t2i = [int((scores[:, j] > scores[owner[j], j]).sum()) for j in range(m)]
    assert recalls.i2t == pytest.approx([percent(i2t, k) for k in (1, 5, 10)])
    assert recalls.t2i == pytest.approx([percent(t2i, k) for k in (1, 5, 10)])
    assert recalls.rsum == pytest.approx(sum(recalls.i2t) + sum(recalls.t2i))


def test_json_keys() -> None:
    eye = np.eye(3, dtype=np.float32)
    report = measure_recalls(eye, eye, np.arange(3)).to_json()
    hundred = {"r1": 100.0, "r5": 100.0, "r10": 100.0, "mean": 100.0}
    assert report == {"i2t": hundred, "t2i": hundred, "rsum": 600.0, "images": 3, "sentences": 3}


@pytest.mark.parametrize("owner", [[0, 1], [0, 1, 3], [0, 1, -1]])
def test_owner_must_fit(owner: list[int]) -> None:
    eye = np.eye(3, dtype=np.float32)
    with pytest.raises(InvalidInputError, match="owner: expected"):
        measure_recalls(eye, eye, np.array(owner))


def test_nothing_to_measure() -> None:
    with pytest.raises(InvalidInputError, match="expected images and sentences"):
        measure_recalls(np.empty((0, 3), np.float32), np.eye(3, dtype=np.float32), np.arange(3))


def write_captions(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return path


def test_evaluate_reads_files_and_sentences(
    model: refine_itr.Model, photos: Path, tmp_path: Path
) -> None:
    rows = [{"image": "red.jpg", "captions": ["a red circle", "red"]},
            {"image": "more/black.jpg", "captions": ["a square"]}]  # fmt: skip
    data = read_captions(write_captions(tmp_path / "c.jsonl", *rows), photos)
    assert data.owner.tolist() == [0, 0, 1]
    recalls = evaluate(model, data)
    expected = measure_recalls(
        model.embed_images([photos / "red.jpg", photos / "more/black.jpg"]),
        model.embed_texts(["a red circle", "red", "a square"]),
        np.array([0, 0, 1]),
    )
    assert recalls == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "c.jsonl:1: expected a line of JSON"),
        ('{"image": "red.jpg"}', 'c.jsonl:1: expected {"image"'),
        ('{"image": "red.jpg", "captions": []}', 'c.jsonl:1: expected {"image"'),
        ('{"image": "red.jpg", "captions": [3]}', 'c.jsonl:1: expected {"image"'),
        ("[1]", 'c.jsonl:1: expected {"image"'),
        ('{"image": "no.jpg", "captions": ["x"]}', "no such image"),
        ('{"image": "../c.jsonl", "captions": ["x"]}', "expected an image inside"),
        ('{"image": "/etc/passwd", "captions": ["x"]}', "expected an image inside"),
        ('{"image": "a\\u0000b", "captions": ["x"]}', "c.jsonl:1: 'a\\x00b': expected the name"),
        (f'{{"image": "{"a" * 300}", "captions": ["x"]}}', "expected the name of a file"),
        (f'{{"image": {"9" * 5000}}}', "c.jsonl:1: expected a line of JSON"),
        ("", "expected at least one line"),
    ],
)
def test_bad_captions(line: str, message: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        read_captions(write_captions(tmp_path / "c.jsonl", line), photos)
    assert message in str(caught.value)


def test_what_unicode_calls_a_lines_end_is_part_of_a_sentence(photos: Path, tmp_path: Path) -> None:
    line = '{"image": "red.jpg", "captions": ["a red\u2028circle\x85"]}'
    (tmp_path / "c.jsonl").write_bytes(f"{line}\r\n".encode())
    data = read_captions(tmp_path / "c.jsonl", photos)
    assert data.sentences == ["a red\u2028circle\x85"]


def test_captions_that_are_not_text(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="UTF-8"):
        read_captions(tmp_path / "c.jsonl", photos)
    with pytest.raises(DatasetError, match="No such file"):
        read_captions(tmp_path / "none.jsonl", photos)
    with pytest.raises(DatasetError, match="expected a folder"):
        read_captions(tmp_path / "c.jsonl", tmp_path / "none")
