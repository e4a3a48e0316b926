"""Models whose products are in bfloat16 or 8-bit integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import random_weights, tiny_config

import refine_itr
from refine_itr.encoding import ImageEncoder
from refine_itr.errors import InvalidInputError
from refine_itr.types import Precision

SENTENCES = ["a red circle", "a blue square", "green"]
# Cosines of a narrow embedding and the exact one. 8 bits of 12 random features are coarse; other
# weights or a broken scale give anything.
LEAST_COSINE = {"bf16": 0.999, "int8": 0.98}


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_sentences_and_photographs(precision: Precision, bundle: Path, photos: Path) -> None:
    exact, narrow = refine_itr.load(bundle), refine_itr.load(bundle, precision=precision)
    pairs = [
        (exact.embed_texts(SENTENCES), narrow.embed_texts(SENTENCES)),
        (exact.embed_images([photos / "red.jpg"]), narrow.embed_images([photos / "red.jpg"])),
    ]
    for expected, got in pairs:
        np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-5)
        assert (expected * got).sum(axis=1).min() >= LEAST_COSINE[precision]
        assert not np.array_equal(expected, got)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("graph", ["light-gcn", "vsrn-gcn"])
def test_threads_do_not_matter(precision: Precision, graph: str) -> None:
    config = tiny_config(graph=graph, pooling="gru", features=64)
    regions = np.random.default_rng(0).standard_normal((40, 4, 64), np.float32)
    encoder = ImageEncoder(config, random_weights(config), 1, precision)
    np.testing.assert_allclose(encoder.encode(regions, 3), encoder.encode(regions, 1), atol=1e-6)


def test_another_name(run: Any, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="precision: expected one of fp32, bf16, int8"):
        refine_itr.load(bundle, precision="fp16")  # type: ignore[arg-type]
    refused = run("eval", "--data", tmp_path / "x.jsonl", "--precision", "fp16")
    assert refused.code == 2
    assert "--precision" in refused.err


def test_eval(run: Any, bundle: Path, photos: Path, tmp_path: Path) -> None:
    data = tmp_path / "captions.jsonl"
    data.write_text('{"image": "red.jpg", "captions": ["a red circle"]}\n')
    ask = ("eval", "--data", data, "--images", photos, "-m", bundle, "--precision", "int8")
    measured = run(*ask)
    assert measured.code == 0
    assert "rsum" in measured.out
