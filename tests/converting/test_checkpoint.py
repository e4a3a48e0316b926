"""Checkpoints that are damaged, hostile, or declare more than they hold."""

from __future__ import annotations

import argparse
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory import run_measured
from vsrn import WORDS, ImageSide, TextSide, save

from refine_itr.converting.checkpoint import read_checkpoint
from refine_itr.errors import CheckpointError


@pytest.fixture(params=[True, False], ids=["legacy", "zip"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    sides = ImageSide(6, 8, "f30k_precomp"), TextSide(len(WORDS), 8, 5)
    return save(tmp_path / "m.pth.tar", *sides, legacy=request.param, data_name="f30k_precomp")


def test_what_is_read(saved: Path) -> None:
    checkpoint = read_checkpoint(saved)
    assert checkpoint.options["data_name"] == "f30k_precomp"
    assert checkpoint.epoch == 7
    assert checkpoint.image["Rs_GCN_4.g.weight"].shape == (8, 8, 1)
    assert checkpoint.text["embed.weight"].dtype == np.float32


def as_python_2(content: bytes) -> bytes:
    """Its pickles hold byte strings where Python 3 writes text."""
    out, rest = b"", content
    while match := re.search(rb"X(.)\x00\x00\x00", rest, re.DOTALL):
        size = match[1][0]
        word = rest[match.end() : match.end() + size]
        out += rest[: match.start()] + b"U" + match[1] + word
        rest = rest[match.end() + size :]
    return out + rest


def test_python_2_checkpoints(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sides = ImageSide(6, 8, "f30k_precomp"), TextSide(len(WORDS), 8, 5)
    new = save(tmp_path / "new", *sides, legacy=True, data_name="f30k_precomp")
    (tmp_path / "old").write_bytes(as_python_2(new.read_bytes()))
    old, expected = read_checkpoint(tmp_path / "old"), read_checkpoint(new)
    assert b"U\x09data_name" in (tmp_path / "old").read_bytes()
    assert old.options == expected.options
    assert old.image.keys() == expected.image.keys()
    assert all((old.text[name] == expected.text[name]).all() for name in expected.text)


def test_other_precisions_and_numpy_scalars(tmp_path: Path) -> None:
    states = [{"a": torch.ones(3, dtype=d)} for d in (torch.float64, torch.bfloat16)]
    torch.save({"model": states, "best_rsum": np.float64(3)}, tmp_path / "m")
    checkpoint = read_checkpoint(tmp_path / "m")
    assert checkpoint.image["a"].tolist() == checkpoint.text["a"].tolist() == [1, 1, 1]
    assert checkpoint.options == {}


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("place", ["model", "opt", "epoch"])
def test_hostile_checkpoints_do_nothing(legacy: bool, place: str, tmp_path: Path) -> None:
    hostile = Hostile(tmp_path / "mark")
    content = {"model": [{}, {}], "opt": argparse.Namespace(x=1)}
    content[place] = argparse.Namespace(x=hostile) if place == "opt" else hostile
    torch.save(content, tmp_path / "m", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"tensors and plain values; .*mkdir"):
        read_checkpoint(tmp_path / "m")
    assert not (tmp_path / "mark").exists()


class Zeros:
    """What a pickle of a ``bytearray`` does: PyTorch's restricted unpickler allows it."""

    def __reduce__(self) -> tuple[object, ...]:
        return bytearray, (1 << 31,)


@pytest.mark.parametrize("legacy", [True, False])
def test_no_bytearray_is_made(legacy: bool, tmp_path: Path) -> None:
    content = {"model": [{}, {}], "epoch": [Zeros()] * 3}
    torch.save(content, tmp_path / "m", _use_new_zipfile_serialization=not legacy)
    assert (tmp_path / "m").stat().st_size < 4096
    with pytest.raises(CheckpointError, match="it has a bytearray"):
        read_checkpoint(tmp_path / "m")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("hidden", ["m/DATA.PKL", "m/data.pkl"])
def test_no_bytearray_is_hidden_by_its_name(hidden: str, tmp_path: Path) -> None:
    """PyTorch finds a name in any case, and the first of two; Python's zipfile opens the last."""
    torch.save({"epoch": Zeros()}, tmp_path / "m")
    torch.save({"epoch": 1}, tmp_path / "harmless")
    with (
        zipfile.ZipFile(tmp_path / "m") as hostile,
        zipfile.ZipFile(tmp_path / "harmless") as harmless,
        zipfile.ZipFile(tmp_path / "both", "w") as both,
    ):
        both.writestr(hidden, hostile.read("m/data.pkl"))
        if hidden == "m/data.pkl":
            both.writestr(hidden, harmless.read("harmless/data.pkl"))
    with pytest.raises(CheckpointError, match="it has a bytearray"):
        read_checkpoint(tmp_path / "both")


def test_compressed_checkpoints_are_refused(tmp_path: Path) -> None:
    """A megabyte of zeros a kilobyte: what was declared is not allocated."""
    torch.save({"model": [{"a": torch.zeros(1 << 20)}, {}]}, tmp_path / "m")
    with (
        zipfile.ZipFile(tmp_path / "m") as plain,
        zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with pytest.raises(CheckpointError, match="uncompressed; it declares 4"):
        read_checkpoint(tmp_path / "bomb")


READ = """
import pathlib, sys, torch
from refine_itr.converting.checkpoint import read_checkpoint
from refine_itr.errors import CheckpointError
before = peak_kib()
try:
    read_checkpoint(pathlib.Path(sys.argv[1]))
except CheckpointError as error:
    assert "expected" in str(error), error
else:
    raise AssertionError("it was read")
print(peak_kib() - before)
"""


@pytest.mark.parametrize("factor", [10**3, 10**9])
def test_declared_sizes_are_not_allocated(factor: int, tmp_path: Path) -> None:
    numbers = 4_000_037  # a four-byte number that is nowhere else in the file
    torch.save(
        {"model": [{"a": torch.zeros(numbers)}, {}]},
        tmp_path / "m",
        _use_new_zipfile_serialization=False,
    )
    content = (tmp_path / "m").read_bytes()
    declared, old = numbers * factor, b"J" + numbers.to_bytes(4, "little")
    assert old in content
    new = b"\x8a\x08" + declared.to_bytes(8, "little")
    (tmp_path / "m").write_bytes(content.replace(old, new))
    (grown_kib,) = run_measured(READ, tmp_path / "m")
    assert grown_kib < 64 << 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}}, 'expected a dict with "model"'),
        ([1], 'expected a dict with "model"'),
        ({"model": [{}]}, 'expected a dict with "model"'),
        ({"model": [{}, [1]]}, r"model\[1\]: expected tensors by name; got list"),
        ({"model": [{3: torch.zeros(1)}, {}]}, r"model\[0\]: expected tensors by name"),
        ({"model": [{"a": torch.zeros(1, dtype=torch.cfloat)}, {}]}, "real numbers"),
    ],
)
def test_other_contents(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "m")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "m")


def test_a_zip_without_its_end(tmp_path: Path) -> None:
    torch.save({"model": [{}, {}]}, tmp_path / "m")
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes()[:-30])
    with pytest.raises(CheckpointError, match="expected a whole checkpoint"):
        read_checkpoint(tmp_path / "m")


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is none"):
        read_checkpoint(tmp_path)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject, saved: Path) -> None:
    whole = saved.read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    saved.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        checkpoint = read_checkpoint(saved)
    except CheckpointError:
        pass
    else:
        assert all(np.isfinite(a).all() for a in checkpoint.image.values())
    finally:
        saved.write_bytes(whole)
