"""Features evaluated as the papers do: folds, ensembles, memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from memory import run_measured
from tiny import random_weights, tiny_config, tiny_tokenizer, write_tiny_bundle

import refine_itr
from refine_itr.bundle import BundleConfig, write_bundle
from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.evaluation import (
    PROTOCOLS,
    Protocol,
    evaluate,
    measure_protocol,
    measure_recalls,
)
from refine_itr.features import read_precomputed
from refine_itr.scoring import QueryBank

WORDS = ["a", "red", "green", "blue", "circle", "square"]


def write_features_bundle(folder: Path, seed: int = 0) -> Path:
    """A bundle without a detector: 4 regions x 6."""
    config = tiny_config()
    config = BundleConfig(config.dim, config.image, config.text, None)
    write_bundle(folder, config, random_weights(config, seed), tiny_tokenizer(), None, "")
    return folder


def write_features(folder: Path, n: int, repeats: int = 1) -> Path:
    rng = np.random.default_rng(n)
    array = rng.random((n, 4, 6)).astype(np.float32)
    np.save(folder / "test_ims.npy", np.repeat(array, repeats, axis=0))
    lines = [" ".join(rng.choice(WORDS, 6)) for _ in range(5 * n)]
    (folder / "test_caps.txt").write_text("\n".join(lines) + "\n")
    return folder / "test_ims.npy"


def noisy_pairs(n: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit embeddings of n images and of five sentences near each."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, dim))
    texts = np.repeat(images, 5, axis=0) + rng.normal(0, 2, (5 * n, dim))
    images, texts = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
    return images.astype(np.float32), texts.astype(np.float32), np.repeat(np.arange(n), 5)


def ranks_of(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By VSRN's definition, from the whole matrix (n, 5 n): ranks from 0 of both directions."""
    n = len(scores)
    i2t = np.array(
        [min((scores[i] > scores[i, 5 * i + j]).sum() for j in range(5)) for i in range(n)]
    )
    t2i = np.array([(scores[:, j] > scores[j // 5, j]).sum() for j in range(5 * n)])
    return i2t, t2i


def recall_of(ranks: np.ndarray) -> tuple[float, ...]:
    return tuple(100.0 * float((ranks < k).mean()) for k in (1, 5, 10))


def test_folds_are_measured_apart() -> None:
    images, texts, owner = noisy_pairs(60, 8, 0)
    got = measure_protocol(images, texts, owner, Protocol(images=60, folds=5))
    scores = images.astype(np.float64) @ texts.T.astype(np.float64)
    parts = [ranks_of(scores[f : f + 12, 5 * f : 5 * f + 60]) for f in range(0, 60, 12)]
    for recalls, ranks in ((got.i2t, 0), (got.t2i, 1)):
        expected = np.mean([recall_of(part[ranks]) for part in parts], axis=0)
        assert recalls == pytest.approx(expected)
    whole = measure_protocol(images, texts, owner, Protocol(images=60, folds=1))
    assert whole == measure_recalls(images, texts, owner)
    assert whole.rsum < got.rsum  # fewer to choose from
    bank = QueryBank(texts[:20], images[:20], temperature=10)
    corrected = measure_protocol(images, texts, owner, Protocol(60, 1), bank=bank)
    assert corrected == measure_recalls(images, texts, owner, bank=bank)
    assert corrected != whole


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_wants_its_own_test_set(name: str) -> None:
    images, texts, owner = noisy_pairs(30, 4, 0)
    with pytest.raises(DatasetError, match=r"expected \d000 images with 5 sentences each; got 30"):
        measure_protocol(images, texts, owner, PROTOCOLS[name])
    unequal = np.sort(owner % 29)
    with pytest.raises(DatasetError, match="5 sentences each"):
        measure_protocol(images, texts, unequal, Protocol(30, 1))


def test_an_ensemble_ranks_by_the_mean_of_the_scores(tmp_path: Path) -> None:
    data = read_precomputed(write_features(tmp_path, 40))
    models = [refine_itr.load(write_features_bundle(tmp_path / f"b{i}", i)) for i in range(2)]
    scores = np.mean(
        [
            m.embed_regions(np.array(data.regions)).astype(np.float64)
            @ m.embed_texts(data.sentences).T
            for m in models
        ],
        axis=0,
    )
    together = evaluate(models, data)
    i2t, t2i = ranks_of(scores)
    assert together.i2t == pytest.approx(recall_of(i2t))
    assert together.t2i == pytest.approx(recall_of(t2i))
    assert together != evaluate(models[0], data)
    with pytest.raises(InvalidInputError, match="at least one"):
        evaluate([], data)


def test_joined_embeddings_sum_the_scores() -> None:
    one, other = noisy_pairs(50, 6, 1), noisy_pairs(50, 9, 2)
    scores = (one[0] @ one[1].T + other[0] @ other[1].T) / 2
    joined = [np.concatenate(pair, axis=1) for pair in zip(one[:2], other[:2], strict=True)]
    got = measure_recalls(*joined, one[2])
    i2t, t2i = ranks_of(scores)
    assert got.i2t == pytest.approx(recall_of(i2t))
    assert got.t2i == pytest.approx(recall_of(t2i))


@pytest.mark.parametrize("repeats", [1, 5])
def test_features_in_blocks(repeats: int, tmp_path: Path) -> None:
    data = read_precomputed(write_features(tmp_path, 150, repeats))  # more than two blocks
    model = refine_itr.load(write_features_bundle(tmp_path / "b"))
    expected = measure_recalls(
        model.embed_regions(np.array(data.regions)), model.embed_texts(data.sentences), data.owner
    )
    assert evaluate(model, data) == expected


def test_features_that_do_not_fit_the_model(tmp_path: Path) -> None:
    model = refine_itr.load(write_features_bundle(tmp_path / "b"))
    path = write_features(tmp_path, 80)
    array = np.load(path)
    array[70, 2, 3] = np.nan
    np.save(path, array)
    with pytest.raises(DatasetError, match="images 64 to 79: regions: expected finite"):
        evaluate(model, read_precomputed(path))
    np.save(path, array[:, :3])
    with pytest.raises(DatasetError, match=r"regions: expected float32 \(n, 4, 6\); got .* 3, 6"):
        evaluate(model, read_precomputed(path))


def test_the_command(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write_features(tmp_path, 1000)
    bundles = [write_features_bundle(tmp_path / f"b{i}", i) for i in range(2)]
    both = [part for bundle in bundles for part in ("-m", bundle)]
    done = run("eval", "--data", path, *both, "--protocol", "f30k", "--json")
    report = json.loads(done.out)
    assert (report["images"], report["sentences"], report["protocol"]) == (1000, 5000, "f30k")
    expected = evaluate(map(refine_itr.load, bundles), read_precomputed(path))
    assert report["rsum"] == round(expected.rsum, 2)
    shown = run("eval", "--data", path, "-m", bundles[0], "--protocol", "f30k")
    assert "f30k: 1000 images, 5000 sentences" in shown.out

    for arguments, message in [
        (["--protocol", "coco"], "--protocol: expected one of f30k, coco-5k, coco-5fold"),
        (["--protocol", "coco-5fold"], "expected 5000 images with 5 sentences each"),
        (["--images", tmp_path], "--images: expected none with features"),
    ]:
        failed = run("eval", "--data", path, "-m", bundles[0], *arguments)
        assert failed.code == 2
        assert message in failed.err
    captions = run("eval", "--data", tmp_path / "c.jsonl", "-m", bundles[0])
    assert "expected the folder of the images too" in captions.err


def test_photographs_with_features_only(run, photos: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bundle = write_features_bundle(tmp_path / "b")
    (tmp_path / "c.jsonl").write_text('{"image": "red.jpg", "captions": ["a"]}\n')
    for command in (
        ["eval", "--data", tmp_path / "c.jsonl", "--images", photos],
        ["index", tmp_path / "x.itr", photos],
        ["search", photos, "--text", "red"],
        ["profile", tmp_path / "p.json"],
        ["export-detector", "--out", tmp_path / "o", "--soc", "Ascend310P3"],
    ):
        failed = run(*command, "-m", bundle)
        assert failed.code == 2, command
        assert "detector" in failed.err, command
    mixed = run(
        "eval", "--data", tmp_path / "c.jsonl", "--images", photos,
        "-m", write_tiny_bundle(tmp_path / "t"),
    )  # fmt: skip
    assert mixed.code == 0


MEASURE = """
import sys
import numpy as np
from refine_itr.evaluation import PROTOCOLS, Protocol, measure_protocol
n, dim = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
images = rng.standard_normal((n, dim), np.float32)
texts = rng.standard_normal((5 * n, dim), np.float32)
before = peak_kib()
measure_protocol(images, texts, np.repeat(np.arange(n), 5), Protocol(n, 1), threads=2)
print(peak_kib() - before)
"""


def test_no_matrix_of_scores_is_held() -> None:
    n = 3000  # the matrix would be 180 MB
    (kib,) = run_measured(MEASURE, n, 64)
    assert kib < 60 << 10


COCO_5K = """
import time
import numpy as np
from refine_itr.evaluation import PROTOCOLS, measure_protocol
rng = np.random.default_rng(0)
def noisy(rows, spread):
    rows = rows + spread * rng.standard_normal(rows.shape, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
topics = rng.standard_normal((100, 1024), np.float32)
topics /= np.linalg.norm(topics, axis=1, keepdims=True)
images = noisy(topics[rng.integers(0, 100, 5000)], 0.05)
texts = noisy(np.repeat(images, 5, axis=0), 0.25)
started = time.perf_counter()
recalls = measure_protocol(images, texts, np.repeat(np.arange(5000), 5), PROTOCOLS["coco-5k"])
seconds = time.perf_counter() - started
print(peak_kib(), seconds, recalls.rsum)
"""


def test_coco_5k_at_1024_stays_under_two_gigabytes() -> None:
    """Of the whole process, with clustered embeddings; the time is of a machine, so only shown."""
    kib, seconds, rsum = run_measured(COCO_5K)
    print(f"{kib / (1 << 20):.2f} GiB at most, {seconds:.1f} s, rsum {rsum:.1f}")
    assert kib * 1024 < 2e9
    assert 6 < rsum < 600  # neither by chance nor a matter of course
