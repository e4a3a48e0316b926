"""Bottom-up TSV and npz files: both column orders, both orientations, every kind of damage."""

from __future__ import annotations

import base64
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refine_itr.errors import DatasetError
from refine_itr.features import ImageRegions, pack, read_ids, read_npz, read_tsv


def image(number: int, k: int = 3, c: int = 4) -> ImageRegions:
    rng = np.random.default_rng(number)
    boxes, features = (rng.random((k, n)).astype(np.float32) for n in (4, c))
    return ImageRegions(str(number), 640 + number, 480, boxes, features)


def base64_of(array: np.ndarray) -> bytes:
    return base64.b64encode(array.astype("<f4").tobytes())


def tsv_line(of: ImageRegions, lxmert: bool = False) -> bytes:
    sizes = [of.height, of.width] if lxmert else [of.width, of.height]
    more = [b"objects", b"conf", b"attrs", b"conf"] if lxmert else []
    numbers = [str(n).encode() for n in sizes]
    count = str(len(of.boxes)).encode()
    fields = [of.image_id.encode(), *numbers, *more, count]
    return b"\t".join([*fields, base64_of(of.boxes), base64_of(of.features)])


def write_npz(folder: Path, of: ImageRegions, name: str = "", **changes: object) -> Path:
    arrays: dict[str, object] = {
        "x": of.features,
        "bbox": of.boxes,
        "num_bbox": len(of.boxes),
        "image_h": of.height,
        "image_w": of.width,
        # Written by the detector's program, pickled: it is never opened.
        "info": np.array({"objects_id": 1}, dtype=object),
    }
    folder.mkdir(exist_ok=True)
    path = folder / (name or f"{of.image_id}.npz")
    kept = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez_compressed(path, **kept)  # type: ignore[arg-type]
    return path


def assert_same(a: ImageRegions, b: ImageRegions) -> None:
    assert (a.image_id, a.width, a.height) == (b.image_id, b.width, b.height)
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.features, b.features)


@pytest.mark.parametrize("lxmert", [False, True])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_tsv(lxmert: bool, end: bytes, tmp_path: Path) -> None:
    images = [image(1), image(2, k=5), image(3, k=36, c=2048)]  # 400 kB in a field
    file = tmp_path / "x.tsv"
    file.write_bytes(b"".join(tsv_line(i, lxmert) + end for i in images))
    for read, written in zip(read_tsv(file), images, strict=True):
        assert_same(read, written)


@pytest.mark.parametrize("name", ["7.npz", "7.jpg.npz"])
@pytest.mark.parametrize("transposed", [False, True])
def test_npz(name: str, transposed: bool, tmp_path: Path) -> None:
    written = image(7)
    x = written.features.T if transposed else written.features
    assert_same(read_npz(write_npz(tmp_path, written, name, x=x)), written)


GOOD = tsv_line(image(1)).split(b"\t")


def tsv(column: int, value: bytes) -> bytes:
    return b"\t".join([*GOOD[:column], value, *GOOD[column + 1 :]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\t".join(GOOD[:5]), r"x.tsv:2: expected 6 or 10 columns.*got 5"),
        (tsv(1, b"-3"), "width: expected a whole number; got b'-3'"),
        (tsv(1, b"9" * 5000), "width: expected a whole number"),
        (tsv(3, b"0"), "num_boxes: expected 1 to 4096; got 0"),
        (tsv(3, b"999999999"), "num_boxes: expected 1 to 4096"),
        (tsv(3, b"5"), "boxes: expected float32 of 5 boxes; got 48 bytes"),
        (tsv(3, b"2"), r"expected boxes \(K, 4\) and features \(K, C\); got \(2, 6\)"),
        (tsv(4, b"!!!!"), "boxes: expected base64"),
        (tsv(5, GOOD[5][:-2]), "features: expected base64"),
        (tsv(5, b""), "features: expected float32 of 3 boxes; got 0 bytes"),
        (tsv(5, base64_of(np.full((3, 4), np.nan))), "expected finite numbers"),
    ],
)
def test_bad_lines(line: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.tsv"
    file.write_bytes(tsv_line(image(0, k=3, c=5)) + b"\n" + line + b"\n")
    with pytest.raises(DatasetError, match=message):
        list(read_tsv(file))


def test_a_line_without_end(tmp_path: Path) -> None:
    with (tmp_path / "x.tsv").open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(DatasetError, match="expected 6 or 10 columns"):
        list(read_tsv(tmp_path / "x.tsv"))
    with pytest.raises(DatasetError, match="No such file"):
        list(read_tsv(tmp_path / "none.tsv"))


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": None}, "there is no x"),
        ({"image_w": None}, "there is no image_w"),
        ({"x": np.zeros((5, 6), np.float32)}, r"got \(3, 4\) and \(5, 6\)"),
        ({"x": np.zeros(3, np.float32)}, "expected bbox"),
        ({"x": np.full((3, 4), np.inf, np.float32)}, "expected finite"),
        ({"bbox": np.zeros((3, 5), np.float32)}, r"expected boxes \(K, 4\)"),
        ({"image_w": np.float32(3)}, "one whole number each"),
        ({"x": np.array([None])}, "unpickled. Save it again as np.asarray"),
    ],
)
def test_bad_npz(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read_npz(write_npz(tmp_path, image(1), **changes))


def test_a_pickle_in_an_npz_does_nothing(tmp_path: Path) -> None:
    hostile = np.array(Hostile(tmp_path / "mark"), dtype=object)
    read_npz(write_npz(tmp_path, image(1), info=hostile))
    with pytest.raises(DatasetError, match="unpickled"):
        read_npz(write_npz(tmp_path, image(1), x=hostile))
    assert not (tmp_path / "mark").exists()


def test_a_negative_length_unpacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (-9, 9), }".ljust(117) + "\n"
    path = write_npz(tmp_path, image(1), x=None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", b"\x93NUMPY\x01\x00\x76\x00" + head.encode() + bytes(1 << 20))
    read = zipfile.ZipExtFile.read

    def bounded(file: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        assert n is not None
        assert n >= 0
        return read(file, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", bounded)
    with pytest.raises(DatasetError, match="x: expected"):
        read_npz(path)


def test_a_header_that_declares_gigabytes(tmp_path: Path) -> None:
    path = write_npz(tmp_path, image(1), x=None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(1 << 20))
    with pytest.raises(DatasetError, match=r"x: .*expected version 1\.0"):
        read_npz(path)


@pytest.mark.parametrize("shape", ["(1000000, 1000000)", "(4,)", "(-1, 4)", "(2, 1, 1, 'x')"])
def test_an_npz_that_declares_more_than_it_has(shape: str, tmp_path: Path) -> None:
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path = write_npz(tmp_path, image(1), x=None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", b"\x93NUMPY\x01\x00\x76\x00" + head.encode() + b"1234")
    with pytest.raises(DatasetError, match="x: expected"):
        read_npz(path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_is_an_error_or_an_image(data: st.DataObject, tmp_path: Path) -> None:
    npz = data.draw(st.booleans())
    path = write_npz(tmp_path, image(1)) if npz else tmp_path / "1.tsv"
    content = bytearray(path.read_bytes() if npz else tsv_line(image(1)))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read = [read_npz(path)] if npz else list(read_tsv(path))
    except DatasetError:
        return
    for found in read:
        assert found.boxes.shape == (len(found.features), 4)
        assert np.isfinite(found.features).all()


def test_pack(tmp_path: Path) -> None:
    images = [image(i) for i in range(5)]
    out = tmp_path / "test_ims.npy"
    assert pack(reversed(images), ["3", "1", "1", "4"], out) == (4, 3, 4)
    written = np.load(out)
    expected = [images[i].features for i in (3, 1, 1, 4)]
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "2 of the ids have none: 1, 2"),
        ([image(1)], "1 of the ids have none: 2"),
        ([image(1), image(2, k=2)], r"image 2: expected \(3, 4\) features.*got \(2, 4\)"),
    ],
)
def test_what_cannot_be_packed(images: list[ImageRegions], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        pack(images, ["1", "2"], tmp_path / "x_ims.npy")
    assert list(tmp_path.iterdir()) == []


def test_ids(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("3\nimage 1\r\n\n")
    assert read_ids(tmp_path / "ids.txt") == ["3", "image 1"]
    for content, message in ((b"", "it is empty"), (b"\xff", "UTF-8")):
        (tmp_path / "ids.txt").write_bytes(content)
        with pytest.raises(DatasetError, match=message):
            read_ids(tmp_path / "ids.txt")
    with pytest.raises(DatasetError, match="No such file"):
        read_ids(tmp_path / "none.txt")


def test_the_command(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.tsv").write_bytes(tsv_line(image(1)) + b"\n" + tsv_line(image(2)) + b"\n")
    write_npz(tmp_path / "more", image(3))
    (tmp_path / "ids.txt").write_text("3\n2\n")
    sources = tmp_path / "a.tsv", tmp_path / "more"
    out = tmp_path / "test_ims.npy"
    done = run("features", *sources, "--ids", tmp_path / "ids.txt", "--out", out)
    assert done.code == 0
    assert "2 images, 3 regions x 4" in done.out
    np.testing.assert_array_equal(np.load(out), [image(3).features, image(2).features])
    for bad in (
        run("features", *sources, "--ids", tmp_path / "ids.txt", "--out", tmp_path / "x.npy"),
        run("features", tmp_path / "ids.txt", "--ids", tmp_path / "ids.txt", "--out", out),
    ):
        assert bad.code == 2
        assert bad.err.startswith("error: ")
