"""A bundle's folder: written and read back, and every kind of damage named."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny import random_weights, tiny_config, tiny_detector, tiny_tokenizer, write_tiny_bundle

import refine_itr
from refine_itr.bundle import BundleConfig, read_bundle, write_bundle
from refine_itr.errors import BundleError, DetectorError


@pytest.mark.parametrize(
    "image",
    [
        {},
        {"graph": "vsrn-gcn", "batch_norm": False, "pooling": "gru"},
        {"graph": "none", "layers": 0, "pooling": "max-of-top", "pool_top": 3},
        {"embedding_batch_norm": True, "norm_axis": "region", "pooling": "gpo"},
    ],
)
def test_round_trip(image: dict[str, object], tmp_path: Path) -> None:
    bundle = read_bundle(write_tiny_bundle(tmp_path / "b", **image))
    config = tiny_config(**image)
    assert bundle.config == config
    written = random_weights(config)
    assert bundle.weights.keys() == written.keys()
    assert all((bundle.weights[name] == written[name]).all() for name in written)


def test_without_a_detector(tmp_path: Path) -> None:
    config = dataclasses.replace(tiny_config(regions=5), detector=None)  # no square either
    weights = random_weights(config)
    write_bundle(tmp_path / "b", config, weights, tiny_tokenizer(), None, "")
    bundle = read_bundle(tmp_path / "b")
    assert bundle.config == config
    assert bundle.detector_path is None
    assert json.loads((tmp_path / "b" / "config.json").read_text())["detector"] is None
    with pytest.raises(BundleError, match=r"no detector: expected no graph; got detector\.onnx"):
        write_bundle(tmp_path / "b", config, weights, tiny_tokenizer(), tiny_detector(), "")
    with pytest.raises(BundleError, match=r"grid detector: expected detector\.onnx; got none"):
        write_bundle(tmp_path / "b", tiny_config(), weights, tiny_tokenizer(), None, "")


def test_half_precision_on_disk(tmp_path: Path) -> None:
    config = tiny_config()
    halves = {name: w.astype(np.float16) for name, w in random_weights(config).items()}
    write_bundle(tmp_path / "b", config, halves, tiny_tokenizer(), tiny_detector(), "")
    weights = read_bundle(tmp_path / "b").weights
    assert {w.dtype for w in weights.values()} == {np.dtype(np.float32)}
    assert all((weights[name] == halves[name]).all() for name in halves)


def test_unused_theta_and_phi_are_tolerated(bundle: Path) -> None:
    file = bundle / "weights.safetensors"
    save_file(load_file(file) | {"image.graph.0.theta.weight": np.ones((12, 12), "f4")}, file)
    assert "image.graph.0.theta.weight" not in read_bundle(bundle).weights


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    one, same, other = (
        read_bundle(write_tiny_bundle(tmp_path / name, seed)).fingerprint
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert one == same != other


def test_writing_replaces_a_bundle_and_nothing_else(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "b", 0)
    before = read_bundle(folder).fingerprint
    write_tiny_bundle(folder, 1)
    assert read_bundle(folder).fingerprint != before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    (tmp_path / "precious").mkdir()
    with pytest.raises(BundleError, match="expected a bundle's folder or a new name"):
        write_tiny_bundle(tmp_path / "precious")


def test_wrong_weights_are_not_written(tmp_path: Path) -> None:
    config = tiny_config()
    weights = random_weights(config)
    del weights["image.fc.bias"]
    with pytest.raises(BundleError, match=r"missing image\.fc\.bias"):
        write_bundle(tmp_path / "b", config, weights, tiny_tokenizer(), tiny_detector(), "")
    assert not (tmp_path / "b").exists()


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        for key, value in changes.items():
            place = config
            *parents, last = key.split("__")
            for parent in parents:
                place = place[parent]
            place.pop(last) if value is None else place.__setitem__(last, value)
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def edit_weights(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        weights = load_file(folder / "weights.safetensors")
        edit(weights)
        save_file(weights, folder / "weights.safetensors")

    return apply


def overwrite(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (edit_config(version=2), "expected version 1, got 2"),
    (edit_config(format="x"), 'expected an object with "format"'),
    (edit_config(dim="12"), "dim: expected int, got '12'"),
    (edit_config(dim=True), "dim: expected int, got True"),
    (edit_config(dim=0), "dim: expected 1 to 16384, got 0"),
    (edit_config(dim=10**9), "dim: expected 1 to 16384"),
    (edit_config(image__graph="gat"), "image.graph: expected one of light-gcn, vsrn-gcn, none"),
    (edit_config(image__layers=None), "image: missing layers"),
    (edit_config(image__colour=1), "image: unknown colour"),
    (edit_config(image=[]), "image: expected an object"),
    (edit_config(image__regions=9), "image.regions: expected detector.grid squared = 4"),
    (edit_config(image__graph="none"), "image.layers: expected 0 exactly when"),
    (
        edit_config(image__normalize_projection=True, image__norm_axis="none"),
        "image.norm_axis: expected region or feature with normalize_projection",
    ),
    (
        edit_config(image__pooling="max-of-top", image__pool_top=5),
        "image.pool_top: expected at most 4",
    ),
    (overwrite("config.json", b"{"), "expected JSON"),
    (overwrite("config.json", b"[" * 100_000), "expected JSON"),
    (overwrite("config.json", b"\xff"), "expected UTF-8"),
    (overwrite("config.json", b" " * (1 << 20) + b"{}"), "expected at most 1048576 bytes"),
    (overwrite("weights.safetensors", b""), "expected a safetensors file"),
    (overwrite("weights.safetensors", b"\xff" * 64), "expected a safetensors file"),
    (
        overwrite("weights.safetensors", pickle.dumps({"image.fc.weight": 1})),
        "expected a safetensors file",
    ),
    (edit_weights(lambda w: w.pop("text.gru.bias_hh")), "missing text.gru.bias_hh"),
    (
        edit_weights(lambda w: w.update(x=np.ones(1, "f4"))),
        "not in this architecture: x",
    ),
    (
        edit_weights(lambda w: w.update({"image.fc.bias": np.ones(11, "f4")})),
        "image.fc.bias: expected float16 or float32 (12,); got F32 (11,)",
    ),
    (
        edit_weights(lambda w: w.update({"image.fc.bias": np.ones(12, "f8")})),
        "image.fc.bias: expected float16 or float32 (12,); got F64 (12,)",
    ),
    (
        edit_weights(lambda w: w.update({"image.fc.bias": np.full(12, np.nan, "f4")})),
        "image.fc.bias: expected finite values",
    ),
    (overwrite("tokenizer.json", b"{}"), "tokenizer.json: expected a tokenizer"),
    (edit_config(text__vocabulary=9), "text.embedding.weight: expected float16 or float32 (9, 5)"),
    (lambda folder: (folder / "detector.onnx").unlink(), "expected a file of the bundle"),
    (lambda folder: (folder / "config.json").unlink(), "expected a file of the bundle"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[message for _, message in DAMAGE])
def test_damage_is_named(damage: Callable[[Path], object], message: str, bundle: Path) -> None:
    damage(bundle)
    with pytest.raises(BundleError) as caught:
        refine_itr.load(bundle)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        (
            np.ones(5, "f4"),
            r"image.gpo.coefficients: expected float16 or float32 (4,); got F32 (5,)",
        ),
        (np.full(4, np.nan, "f4"), "image.gpo.coefficients: expected finite values"),
        (None, "missing image.gpo.coefficients"),
    ],
    ids=["too many", "not finite", "missing"],
)
def test_wrong_pooling_coefficients_are_named(
    coefficients: np.ndarray | None, message: str, tmp_path: Path
) -> None:
    folder = write_tiny_bundle(tmp_path / "b", pooling="gpo")
    weights = load_file(folder / "weights.safetensors")
    del weights["image.gpo.coefficients"]
    if coefficients is not None:
        weights["image.gpo.coefficients"] = coefficients
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(BundleError) as caught:
        refine_itr.load(folder)
    assert message in str(caught.value)


def test_a_tokenizer_with_too_many_words(bundle: Path) -> None:
    text = (bundle / "tokenizer.json").read_text().replace('"square":9', '"square":10')
    text = text.replace('"square": 9', '"square": 10')
    (bundle / "tokenizer.json").write_text(text)
    with pytest.raises(BundleError, match=r"ids below text\.vocabulary = 10; got 10"):
        refine_itr.load(bundle)


@pytest.mark.parametrize(
    ("detector", "message"),
    [(b"junk", "detector.onnx"), (tiny_detector(features=7), "expected a graph")],
)
def test_a_wrong_detector(detector: bytes, message: str, bundle: Path) -> None:
    (bundle / "detector.onnx").write_bytes(detector)
    with pytest.raises(DetectorError, match=message):
        refine_itr.load(bundle)


@pytest.mark.parametrize("name", ["unknown", "", "/nowhere"])
def test_unknown_bundle(name: str) -> None:
    with pytest.raises(BundleError, match="expected 'default' or a bundle's folder"):
        refine_itr.load(name)


def test_config_survives_json() -> None:
    config = tiny_config()
    assert BundleConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
