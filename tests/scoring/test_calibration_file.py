"""``calibration.safetensors``: there or not, whole or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny import tiny_calibration, write_tiny_bundle

from refine_itr.bundle import read_bundle, read_calibration, write_calibration
from refine_itr.errors import BundleError


def test_a_bundle_without_one(bundle: Path) -> None:
    assert read_bundle(bundle).calibration is None


def test_round_trip(bundle: Path) -> None:
    before = read_bundle(bundle)
    calibration = tiny_calibration()
    write_calibration(bundle, before.fingerprint, calibration)
    after = read_bundle(bundle)
    assert after.fingerprint == before.fingerprint  # indexes made before still open
    assert after.calibration is not None
    assert after.calibration.bank.fingerprint == calibration.bank.fingerprint
    assert after.calibration.relevance == calibration.relevance
    write_calibration(bundle, before.fingerprint, tiny_calibration(seed=3))  # again
    assert sorted(p.name for p in bundle.glob("*calib*")) == ["calibration.safetensors"]


def test_another_models_calibration_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = read_bundle(write_tiny_bundle(tmp_path / "other", seed=5))
    write_calibration(bundle, other.fingerprint, tiny_calibration())
    with pytest.raises(BundleError, match="expected the calibration of this model"):
        read_bundle(bundle)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be written"):
        write_calibration(tmp_path / "none", "f", tiny_calibration())


GOOD = {
    "format": "refine-itr-calibration", "version": "1", "model": "f", "temperature": "9.0",
    "relevance": "{}",
}  # fmt: skip
BANK = {"bank.texts": np.ones((2, 12), np.float16), "bank.images": np.ones((2, 12), np.float16)}


def test_the_smallest_file(tmp_path: Path) -> None:
    save_file(BANK, tmp_path / "calibration.safetensors", GOOD)
    found = read_calibration(tmp_path, "f", 12)
    assert found is not None
    assert (found.bank.temperature, found.relevance) == (9.0, {})


WEIGHTS = {"score": 1.0, "expected": 0.0, "size": -1.0, "bias": 0.0}


@pytest.mark.parametrize(
    ("metadata", "tensors", "message"),
    [
        ({"format": "x"}, {}, 'expected "format"'),
        ({"version": "2"}, {}, "expected version 1, got '2'"),
        ({"model": "g"}, {}, "expected the calibration of this model"),
        ({"temperature": "hot"}, {}, "could not convert"),
        ({"temperature": "-1"}, {}, "temperature: expected 0.001"),
        ({"relevance": "{"}, {}, "expected a model's calibration"),
        ({"relevance": "[" * 100_000}, {}, "expected a model's calibration"),
        ({"relevance": "[]"}, {}, "expected an object of images and texts"),
        ({"relevance": '{"videos": {}}'}, {}, "expected an object of images and texts"),
        ({"relevance": '{"texts": 3}'}, {}, "expected a model's calibration"),
        ({"relevance": '{"texts": {"score": 1}}'}, {}, "expected a model's calibration"),
        ({"relevance": json.dumps({"texts": WEIGHTS | {"x": 1}})}, {}, "expected a model's"),
        ({"relevance": json.dumps({"texts": WEIGHTS | {"bias": "x"}})}, {}, "could not convert"),
        ({"relevance": json.dumps({"texts": WEIGHTS | {"bias": float("nan")}})}, {}, "finite"),
        ({}, {"bank.texts": np.ones((2, 5), np.float16)}, r"of one length; got \[5, 12\]"),
        ({}, {n: np.ones((2, 5), np.float16) for n in BANK}, "of length 12, got 5"),
        ({}, {"bank.images": np.ones(12, np.float16)}, r"images: expected floats \(n, D\)"),
        ({}, {"bank.images": np.ones((2, 12), np.int8)}, "got int8"),
        ({}, {"bank.images": np.full((2, 12), np.nan, np.float16)}, "expected finite values"),
        ({}, {n: np.ones((0, 12), np.float16) for n in BANK}, "at least one query"),
    ],
)
def test_damaged(
    metadata: dict[str, str], tensors: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    save_file(BANK | tensors, tmp_path / "calibration.safetensors", GOOD | metadata)
    with pytest.raises(BundleError, match=message):
        read_calibration(tmp_path, "f", 12)


@pytest.mark.parametrize("missing", ["bank.texts", "bank.images", "temperature", "relevance"])
def test_something_is_missing(missing: str, tmp_path: Path) -> None:
    tensors = {name: array for name, array in BANK.items() if name != missing}
    metadata = {name: text for name, text in GOOD.items() if name != missing}
    save_file(tensors, tmp_path / "calibration.safetensors", metadata)
    with pytest.raises(BundleError, match="expected a model's calibration"):
        read_calibration(tmp_path, "f", 12)


@pytest.mark.parametrize("keep", [0, 4, 9, 100, -1])
def test_truncated(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "calibration.safetensors"
    save_file(BANK, path, GOOD)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleError, match=r"calibration\.safetensors: expected a model's"):
        read_calibration(tmp_path, "f", 12)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "calibration.safetensors").mkdir()
    with pytest.raises(BundleError, match="expected a model's calibration"):
        read_calibration(tmp_path, "f", 12)


def test_far_too_large(tmp_path: Path) -> None:
    with (tmp_path / "calibration.safetensors").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(BundleError, match="expected at most"):
        read_calibration(tmp_path, "f", 12)
