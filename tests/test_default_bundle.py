"""The model that comes with the package, on real photographs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import refine_itr
from refine_itr.bundle import bundle_folder
from refine_itr.cli.app import main
from refine_itr.evaluation import evaluate, read_captions

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def default_model() -> refine_itr.Model:
    return refine_itr.load()


def stated_recalls() -> dict[str, list[float]]:
    """The table of the model card, measured by PyTorch when the bundle was made."""
    card = (bundle_folder() / "card.md").read_text("utf-8")
    rows = re.findall(r"^\| (image to text|text to image) \|(.*)\|$", card, re.MULTILINE)
    return {name: [float(value) for value in row.split("|")] for name, row in rows}


def test_it_is_small_and_has_light_gcn_layers(default_model: refine_itr.Model) -> None:
    size = sum(file.stat().st_size for file in bundle_folder().iterdir())
    assert size <= 40e6
    assert default_model.config.image.graph == "light-gcn"
    assert default_model.config.image.layers >= 1


def test_demo_finds_most_of_the_sample_photographs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    monkeypatch.setattr(sys, "argv", ["refine-itr", "demo", "--out", str(tmp_path), "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    report = json.loads(capsys.readouterr().out)
    assert report["photographs"] >= 10
    # Chance would be one right answer of ten in each direction.
    assert report["first_hit_right"]["sentence_to_photograph"] >= 0.5 * report["photographs"]
    assert report["first_hit_right"]["photograph_to_sentence"] >= 0.5 * report["photographs"]
    page = (tmp_path / "index.html").read_text("utf-8")
    assert page.count('class="match"') >= report["photographs"]


def test_sentences_with_more_in_common_are_closer(default_model: refine_itr.Model) -> None:
    dog, puppy, guitar = default_model.embed_texts(
        ["A dog runs on the beach.", "A puppy is running in the sand.", "A man plays a guitar."]
    )
    assert dog @ puppy > dog @ guitar + 0.2


def test_recall_through_the_shipped_path(default_model: refine_itr.Model, flickr8k: Path) -> None:
    recalls = evaluate(default_model, read_captions(flickr8k / "val.jsonl", flickr8k / "images"))
    stated = stated_recalls()
    assert recalls.rsum >= 290
    assert recalls.i2t == pytest.approx(stated["image to text"], abs=0.3)
    assert recalls.t2i == pytest.approx(stated["text to image"], abs=0.3)
    in_readme = re.search(r"\brsum (\d+\.\d)", README.read_text("utf-8"))
    assert in_readme is not None
    assert recalls.rsum == pytest.approx(float(in_readme[1]), abs=0.5)
