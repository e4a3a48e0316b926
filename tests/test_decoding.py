"""Any picture in, upright RGB out, or a clear error."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from refine_itr.decoding import decode, find_pictures, open_picture
from refine_itr.errors import InvalidInputError, PictureError
from refine_itr.types import AspectSize


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def red(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, (255, 0, 0)).convert(mode)


@pytest.mark.parametrize(
    ("content", "colour"),
    [
        (encoded(red(), "JPEG", quality=95), (254, 0, 0)),
        (encoded(red("CMYK"), "JPEG", quality=95), (254, 0, 0)),
        (encoded(red("P"), "PNG"), (255, 0, 0)),
        (encoded(red("P"), "GIF"), (255, 0, 0)),
        (encoded(Image.new("LA", (9, 9), (0, 0)), "PNG"), (255, 255, 255)),
        (encoded(Image.new("RGBA", (9, 9), (9, 9, 9, 0)), "PNG"), (255, 255, 255)),
        (encoded(Image.new("RGBA", (9, 9), (9, 9, 9, 255)), "PNG"), (9, 9, 9)),
        (encoded(Image.new("1", (9, 9), 1), "PNG"), (255, 255, 255)),
        (encoded(Image.new("I;16", (9, 9), 65535), "PNG"), (255, 255, 255)),
        (encoded(Image.new("I;16", (9, 9), 32768), "PNG"), (127, 127, 127)),
        (encoded(Image.new("F", (9, 9), 0.5), "TIFF"), (0, 0, 0)),
    ],
    ids=["jpeg", "cmyk", "palette", "gif", "grey+alpha", "clear", "opaque", "1 bit", "16 bit white",
         "16 bit grey", "float"],
)  # fmt: skip
def test_any_mode_becomes_rgb(content: bytes, colour: tuple[int, int, int]) -> None:
    picture = decode(content, (8, 8))
    assert picture.pixels.shape == (8, 8, 3)
    assert picture.pixels.dtype == np.uint8
    assert np.abs(picture.pixels.astype(int) - colour).max() <= 2


def test_wide_grey_is_stretched_over_its_range() -> None:
    values = np.array([[0.0, 50.0], [100.0, np.nan]], np.float32)
    content = encoded(Image.fromarray(values), "TIFF")
    assert open_picture(content).getchannel(0).tobytes() == bytes([0, 127, 255, 0])


def test_palette_transparency_is_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30])
    picture = decode(encoded(image, "PNG", transparency=0), (4, 4))
    assert (picture.pixels == 255).all()


def test_animation_gives_the_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("blue", "red")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(content, (2, 2)).pixels[0, 0] == (0, 0, 255)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_upright(orientation: int) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = (0, 255, 0)  # the top left quarter
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposes, inverted
    image = Image.fromarray(upright)
    if orientation in undo:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(image, "PNG", exif=exif), (60, 40))
    assert (picture.width, picture.height) == (60, 40)
    assert (picture.pixels[:18, :28] == (0, 255, 0)).all()
    assert (picture.pixels[22:] == 0).all()


def test_draft_decoding_is_close_to_full_decoding(photos: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize((1600, 1200))
    content = encoded(smooth, "JPEG", quality=95)
    fast = decode(content, (64, 64))
    exact = np.asarray(open_picture(content).resize((64, 64), Image.Resampling.BILINEAR), int)
    assert (fast.width, fast.height) == (1600, 1200)
    assert np.abs(fast.pixels - exact).max() <= 12


def test_a_callers_image_is_left_alone(photos: Path) -> None:
    with Image.open(photos / "red.jpg") as image:
        decode(image, (2, 2))
        assert image.size == (60, 40)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.sampled_from([(), (3,), (4,)]),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_arrays_of_any_size(
    shape: tuple[int, int], channels: tuple[int, ...], size: tuple[int, int]
) -> None:
    picture = decode(np.full(shape + channels, 255, np.uint8), size)
    assert picture.pixels.shape == (size[1], size[0], 3)
    assert (picture.pixels == 255).all()
    assert (picture.height, picture.width) == shape


@pytest.mark.parametrize("cut", [0, 1, 10, 100, 300])
def test_truncated_jpeg(cut: int) -> None:
    with pytest.raises(PictureError):
        decode(encoded(red(size=(200, 200)), "JPEG")[:cut], (8, 8))


def test_text_named_jpg(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not a picture")
    with pytest.raises(PictureError, match="no known format"):
        decode(tmp_path / "a.jpg", (8, 8))


def test_postscript_is_never_interpreted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(red(), "EPS"))
    with pytest.raises(PictureError, match="no known format"):
        decode(tmp_path / "a.jpg", (8, 8))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises much and whose body is short."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return len(body).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (10_000, 9_000)])
def test_size_bombs_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match="at most 89478485 pixels"):
        decode(png_of_size(*size), (8, 8))


def test_a_large_jpeg_is_read_at_reduced_size() -> None:
    content = encoded(Image.new("L", (10_000, 9_500), 200), "JPEG")
    assert abs(int(decode(content, (8, 8)).pixels.mean()) - 200) <= 1


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="No such file"):
        decode(tmp_path / "none.jpg", (8, 8))


@pytest.mark.parametrize(
    "source",
    [
        "a.jpg",
        3,
        None,
        np.zeros((2, 2, 3), np.float32),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_picture_at_all(source: object) -> None:
    with pytest.raises(InvalidInputError, match="picture: expected"):
        decode(source, (8, 8))  # type: ignore[arg-type]


def test_walk(photos: Path) -> None:
    (photos / "notes.txt").write_text("x")
    (photos / ".hidden.jpg").write_bytes(b"")
    (photos / "loop").symlink_to(photos)
    (photos / "UPPER.JPG").write_bytes(b"")
    names = [str(path.relative_to(photos)) for path in find_pictures(photos)]
    assert names == ["UPPER.JPG", "blue.jpg", "green.jpg", "red.jpg", "white.jpg",
                     "more/black.jpg", "more/yellow.jpg"]  # fmt: skip


def test_walk_of_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected a folder"):
        find_pictures(tmp_path / "none")


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_keeping_the_aspect_samples_as_pytorch(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    size = AspectSize(20, 30)
    picture = decode(pixels, size)
    new_width, new_height = size.of(width, height)
    assert (picture.width, picture.height) == (width, height)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].double(),
        size=(new_height, new_width),
        mode="bilinear",
    )
    # Rounded to whole numbers, in float32.
    np.testing.assert_allclose(
        picture.pixels, expected[0].permute(1, 2, 0).numpy(), rtol=0, atol=0.501
    )
