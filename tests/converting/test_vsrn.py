"""Checkpoints in VSRN's layout embed as VSRN's forward pass does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from vsrn import (
    WORDS,
    ImageSide,
    PlainImageSide,
    TextSide,
    save,
    save_vocabulary,
    settle,
)

import refine_itr
from refine_itr.bundle import read_bundle
from refine_itr.converting import convert
from refine_itr.errors import (
    BundleError,
    CheckpointError,
    DetectorError,
    InvalidInputError,
    MissingExtraError,
)

SENTENCES = {
    "a dog runs .": [1, 4, 5, 6, 7, 2],
    "A dog cannot RUN.": [1, 4, 5, 8, 9, 3, 7, 2],
    'a "dog" ran': [1, 4, 11, 5, 3, 3, 2],
    "": [1, 2],
}


def check_equal(bundle: Path, image: torch.nn.Module, text: TextSide, regions: np.ndarray) -> None:
    """Embeddings of the converted model and of PyTorch, to 1e-4."""
    model = refine_itr.load(bundle)
    with torch.no_grad():
        images = image(torch.from_numpy(regions.squeeze(1) if regions.shape[1] == 1 else regions))
        texts = torch.stack([text(ids) for ids in SENTENCES.values()])
    np.testing.assert_allclose(model.embed_regions(regions), images.numpy(), atol=1e-4)
    np.testing.assert_allclose(model.embed_texts(list(SENTENCES)), texts.numpy(), atol=1e-4)


def regions_like(n: int, k: int, c: int) -> np.ndarray:
    """As of a ReLU: not negative, many zeros."""
    return np.random.default_rng(3).normal(0, 1, (n, k, c)).clip(0).astype(np.float32)


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
@pytest.mark.parametrize("data_name", ["f30k_precomp", "coco_precomp"])
@pytest.mark.parametrize("light", [None, 36], ids=["vsrn", "light"])
def test_embeddings_equal(legacy: bool, data_name: str, light: int | None, tmp_path: Path) -> None:
    torch.manual_seed(1)
    image, text = ImageSide(20, 32, data_name, light), TextSide(len(WORDS), 32)
    settle(image, text)
    saved = save(tmp_path / "m.pth.tar", image, text, legacy=legacy, data_name=data_name)
    config = convert(saved, save_vocabulary(tmp_path / "v.pkl"), tmp_path / "b")
    assert config.image.graph == ("light-gcn" if light else "vsrn-gcn")
    assert config.image.regions == 36
    assert config.image.embedding_batch_norm is (data_name == "f30k_precomp")
    assert config.image.normalize_projection is (data_name == "coco_precomp")
    check_equal(tmp_path / "b", image, text, regions_like(5, 36, 20))


def test_embeddings_equal_at_full_size(tmp_path: Path) -> None:
    torch.manual_seed(2)
    image, text = ImageSide(2048, 2048, "f30k_precomp"), TextSide(len(WORDS), 2048)
    settle(image, text)
    saved = save(tmp_path / "m.pth.tar", image, text, data_name="f30k_precomp")
    convert(saved, save_vocabulary(tmp_path / "v.json"), tmp_path / "b")
    check_equal(tmp_path / "b", image, text, regions_like(3, 36, 2048))


def test_vse_has_one_region_and_no_graph(tmp_path: Path) -> None:
    torch.manual_seed(3)
    image, text = PlainImageSide(40, 16), TextSide(len(WORDS), 16, 30)
    saved = save(tmp_path / "m.pth.tar", image, text, measure="cosine")
    config = convert(saved, save_vocabulary(tmp_path / "v.pkl"), tmp_path / "b")
    assert (config.image.regions, config.image.graph) == (1, "none")
    check_equal(tmp_path / "b", image, text, regions_like(5, 1, 40))


def test_another_number_of_regions(tmp_path: Path) -> None:
    image, text = ImageSide(6, 8, "coco_precomp"), TextSide(len(WORDS), 8)
    settle(image, text)
    saved, words = save(tmp_path / "m", image, text), save_vocabulary(tmp_path / "v.pkl")
    convert(saved, words, tmp_path / "b", regions=10)
    check_equal(tmp_path / "b", image, text, regions_like(4, 10, 6))
    light = save(tmp_path / "l", ImageSide(6, 8, "coco_precomp", light=5), text)
    assert convert(light, words, tmp_path / "c").image.regions == 5
    with pytest.raises(InvalidInputError, match="regions: expected 5, the checkpoint's; got 36"):
        convert(light, words, tmp_path / "c", regions=36)


def test_light_gcn_without_division_and_unused_weights(tmp_path: Path) -> None:
    saved = save(tmp_path / "m", ImageSide(6, 8, "x", light=5), TextSide(len(WORDS), 8))
    words = save_vocabulary(tmp_path / "v.pkl")
    assert not convert(saved, words, tmp_path / "b", scale_affinity=False).image.scale_affinity
    assert not [n for n in read_bundle(tmp_path / "b").weights if "theta" in n or "phi" in n]


def test_a_photograph_needs_a_detector(tmp_path: Path) -> None:
    saved = save(tmp_path / "m", ImageSide(6, 8, "x"), TextSide(len(WORDS), 8))
    convert(saved, save_vocabulary(tmp_path / "v.pkl"), tmp_path / "b")
    model = refine_itr.load(tmp_path / "b")
    assert not model.has_detector
    picture = Image.new("RGB", (20, 20))
    for pictures in ([picture], [picture, picture]):
        with pytest.raises(DetectorError, match=r"has no detector.* features of 36 regions x 6"):
            model.embed_images(pictures)
    with pytest.raises(InvalidInputError, match=r"regions: expected float32 \(n, 36, 6\)"):
        model.embed_regions(np.zeros((2, 35, 6), np.float32))
    with pytest.raises(InvalidInputError, match="expected finite values"):
        model.embed_regions(np.full((1, 36, 6), np.nan, np.float32))


WEIGHT = torch.zeros(8, 8)
REFUSED = [
    ({"cross_attn": "t2i"}, {}, {}, "opt.cross_attn.*SCAN scores by attention"),
    ({"no_imgnorm": True}, {}, {}, "opt.no_imgnorm: expected False, got True"),
    ({"measure": "order"}, {}, {}, "opt.measure: expected 'cosine'"),
    ({}, {"cnn.module.conv1.weight": WEIGHT}, {}, "its own CNN"),
    ({}, {"fc.weight_g": WEIGHT}, {}, "weight-normalised"),
    ({}, {}, {"rnn.weight_ih_l0_reverse": WEIGHT}, "bidirectional"),
    ({}, {}, {"rnn.weight_ih_l1": WEIGHT}, "more than one layer"),
    ({}, {"colour": WEIGHT}, {}, "colour: not in the layout"),
    # At once: a pattern that looks for sigma would try every start.
    ({}, {f"Rs_GCN_1.{'s' * 1_000_000}": WEIGHT}, {}, "not in the layout"),
    ({}, {"Rs_GCN_7.g.weight": WEIGHT}, {}, r"layers Rs_GCN_1, 2 ...; got \[1, 2, 3, 4, 7\]"),
    ({}, {"fc.weight": WEIGHT[0]}, {}, r"image.fc.weight: expected a matrix; got \(8,\)"),
    ({}, {"fc.bias": torch.full((8,), torch.nan)}, {}, "fc.bias: expected finite values"),
    ({}, {"fc.bias": WEIGHT}, {}, r"image.fc.bias: expected float16 or float32 \(8,\)"),
    ({}, {"Rs_GCN_1.W.0.bias": WEIGHT[0], "Rs_GCN_1.W.bias": WEIGHT[0]}, {}, "expected it once"),
    ({}, {"fc.bias": 3}, {}, "expected tensors by name"),
    ({}, {"fc.bias": torch.zeros(8).to_sparse()}, {}, "expected a plain tensor"),
    ({}, {"fc.bias": torch.zeros(1).expand(10**12)}, {}, "no more numbers than the file"),
]


@pytest.mark.parametrize(("options", "image", "text", "message"), REFUSED)
def test_other_models_are_refused(
    options: dict[str, object],
    image: dict[str, object],
    text: dict[str, object],
    message: str,
    tmp_path: Path,
) -> None:
    states = ImageSide(6, 8, "x").state_dict() | image, TextSide(len(WORDS), 8).state_dict() | text
    saved = save(tmp_path / "m", *states, **options)
    with pytest.raises((CheckpointError, BundleError), match=message):
        convert(saved, save_vocabulary(tmp_path / "v.pkl"), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_the_vocabulary_must_be_the_checkpoints(tmp_path: Path) -> None:
    saved = save(tmp_path / "m", ImageSide(6, 8, "x"), TextSide(len(WORDS) + 1, 8))
    with pytest.raises(CheckpointError, match="expected the checkpoint's 13 words; got 12"):
        convert(saved, save_vocabulary(tmp_path / "v.pkl"), tmp_path / "b")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = save(tmp_path / "m", ImageSide(6, 8, "x"), TextSide(len(WORDS), 8))
    words = save_vocabulary(tmp_path / "v.pkl")
    for missing in ("torch", "punkt"):
        with monkeypatch.context() as patch:
            patch.setattr(
                "importlib.util.find_spec", lambda name, m=missing: None if name == m else name
            )
            with pytest.raises(MissingExtraError, match="extra 'convert'"):
                convert(saved, words, tmp_path / "b")


def test_the_command(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    saved = save(tmp_path / "m", ImageSide(6, 8, "x"), TextSide(len(WORDS), 8))
    words = save_vocabulary(tmp_path / "v.pkl")
    done = run("convert", "vsrn", saved, "--vocab", words, "--out", tmp_path / "b")
    assert done.code == 0
    assert "D = 8, 4 x vsrn-gcn, 36 regions x 6, 12 words" in done.out
    assert "Epoch: 7" in (tmp_path / "b" / "card.md").read_text()
    failed = run("convert", "vsrn", words, "--vocab", words, "--out", tmp_path / "c")
    assert failed.code == 2
    assert failed.err.startswith("error: ")
    picture = tmp_path / "p.png"
    Image.new("RGB", (20, 20)).save(picture)
    asked = run("search", tmp_path / "v.txt", "--image", picture, "-m", tmp_path / "b")
    assert asked.code == 2
    checked = run("doctor", "-m", tmp_path / "b", "--json")
    assert checked.code == 0
