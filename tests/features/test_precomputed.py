"""Arrays of features with their sentences, and every way in which they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refine_itr.errors import DatasetError
from refine_itr.features import read_precomputed


def write(folder: Path, array: np.ndarray, captions: str | bytes) -> Path:
    path = folder / "dev_ims.npy"
    np.save(path, array)
    content = captions if isinstance(captions, bytes) else captions.encode()
    (folder / "dev_caps.txt").write_bytes(content)
    return path


def lines(n: int) -> str:
    return "".join(f"caption {i}\n" for i in range(n))


def features(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).random((n, *(shape or (3, 4)))).astype(np.float32)


def test_a_row_an_image(tmp_path: Path) -> None:
    array = features(4)
    data = read_precomputed(write(tmp_path, array, lines(20)))
    assert isinstance(data.regions, np.memmap)
    np.testing.assert_array_equal(data.regions, array)
    assert data.owner.tolist() == sorted([0, 1, 2, 3] * 5)
    assert data.sentences[19] == "caption 19"


def test_a_row_a_sentence(tmp_path: Path) -> None:
    array = features(4)
    data = read_precomputed(write(tmp_path, np.repeat(array, 5, axis=0), lines(20)))
    np.testing.assert_array_equal(data.regions, array)
    assert isinstance(data.regions, np.memmap)
    np.testing.assert_array_equal(data.load(1, 3), array[1:3])
    assert len(data.owner) == 20


def test_one_sentence_an_image(tmp_path: Path) -> None:
    data = read_precomputed(write(tmp_path, features(10), lines(10)))
    assert data.owner.tolist() == list(range(10))


def test_one_vector_an_image(tmp_path: Path) -> None:
    assert read_precomputed(write(tmp_path, features(4, 7), lines(4))).regions.shape == (4, 1, 7)


def test_empty_lines_and_odd_separators_move_nothing(tmp_path: Path) -> None:
    text = "one\u2028still one\x85\n\n three \r\nfour\n\n\n"
    data = read_precomputed(write(tmp_path, features(4), text))
    assert data.sentences == ["one\u2028still one", "", "three", "four"]


def test_python_2_wrote_long_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, features(4), lines(20))
    content = path.read_bytes()
    assert b"(4, 3, 4), }  " in content
    path.write_bytes(content.replace(b"(4, 3, 4), }  ", b"(4L, 3L, 4), }"))
    np.testing.assert_array_equal(read_precomputed(path).regions, features(4))


def save(folder: Path, array: object) -> None:
    np.save(folder / "dev_ims.npy", array)


def several(folder: Path) -> None:
    with (folder / "dev_ims.npy").open("wb") as file:
        np.savez(file, features(4))


def header(folder: Path, shape: str) -> None:
    """A file that declares more than it holds."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (folder / "dev_ims.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + text.encode() + b"1234")


BAD = [
    (lambda f: save(f, features(4).astype(np.float64)), "got float64"),
    (lambda f: save(f, features(4, 1, 2, 3)), r"expected float32 \(n, K, C\)"),
    (lambda f: save(f, features(0)), "not empty"),
    (lambda f: save(f, np.array([{}], dtype=object)), "expected an array of features"),
    (lambda f: save(f, features(3)), r"dev_caps.txt: expected the same number of lines"),
    (lambda f: header(f, "(1000000000, 36, 2048)"), "expected an array of features"),
    (lambda f: header(f, "(10000000000000000000000, 1, 1)"), "expected an array of features"),
    (lambda f: header(f, "(-1, 1, 1)"), "expected an array of features"),
    (several, "expected an array of features; got several"),
    (lambda f: (f / "dev_ims.npy").write_bytes(b""), "expected an array of features"),
    (lambda f: (f / "dev_ims.npy").unlink(), "expected an array of features"),
    (lambda f: (f / "dev_caps.txt").unlink(), "expected the sentences"),
    (lambda f: (f / "dev_caps.txt").write_bytes(b"\xff"), "expected UTF-8"),
    (lambda f: (f / "dev_caps.txt").write_text("\n\n"), "got 0 lines"),
]


@pytest.mark.parametrize(("damage", "message"), BAD)
def test_bad_files(damage, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path, features(4), lines(20))
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        read_precomputed(path)


def test_another_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"named \*_ims.npy"):
        read_precomputed(tmp_path / "dev.npy")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_is_an_error_or_an_array(data: st.DataObject, tmp_path: Path) -> None:
    path = write(tmp_path, features(4), lines(20))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, 140))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read = read_precomputed(path)
    except DatasetError:
        return
    assert read.regions.ndim == 3
    assert np.asarray(read.regions).dtype == np.float32
