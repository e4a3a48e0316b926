"""Fixtures of all tests: a tiny bundle, drawn photographs, and Flickr8k where it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image, ImageDraw
from tiny import tiny_calibration, write_tiny_bundle

import refine_itr
from refine_itr.bundle import read_bundle, write_calibration
from refine_itr.cli.app import main

FLICKR8K = Path(
    os.environ.get(
        "REFINE_ITR_FLICKR8K", Path(__file__).parents[2] / "shared" / "data" / "flickr8k"
    )
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> refine_itr.Model:
    return refine_itr.load(write_tiny_bundle(tmp_path_factory.mktemp("model") / "bundle"))


@pytest.fixture(scope="session")
def calibrated_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with a query bank and relevances; not to be written to."""
    folder = write_tiny_bundle(tmp_path_factory.mktemp("calibrated") / "bundle")
    write_calibration(folder, read_bundle(folder).fingerprint, tiny_calibration())
    return folder


@pytest.fixture(scope="session")
def calibrated(calibrated_bundle: Path) -> refine_itr.Model:
    return refine_itr.load(calibrated_bundle)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of six drawn pictures, two of them in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, colour in enumerate(["red", "green", "blue", "white", "black", "yellow"]):
        image = Image.new("RGB", (60, 40), "grey")
        ImageDraw.Draw(image).ellipse((5 + 5 * number, 5, 35 + 4 * number, 35), fill=colour)
        image.save(folder / ("more" if number > 3 else "") / f"{colour}.jpg")
    return folder


@pytest.fixture
def flickr8k() -> Path:
    if not (FLICKR8K / "val.jsonl").is_file():
        pytest.skip(f"Flickr8k is not at {FLICKR8K} (set REFINE_ITR_FLICKR8K)")
    return FLICKR8K


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs the command line in this process."""

    def run(*args: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["refine-itr", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        return Result(code, *capsys.readouterr())

    return run
