"""The two graphs of torchvision's Faster R-CNN against torchvision's own computation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from test_objects import greedy
from torchvision_reference import random_model, torchvision_detection

from refine_itr.bundle import HEAD
from refine_itr.decoding import decode
from refine_itr.detection import ObjectDetector, open_detectors
from refine_itr.exporting.faster_rcnn import FEATURES, FasterRcnnSettings, faster_rcnn_onnx
from refine_itr.exporting.state import StateDict
from refine_itr.types import Picture

SETTINGS = FasterRcnnSettings(canvas=160, short_side=96, proposals=20, regions=5)


class Pair(NamedTuple):
    model: Any
    detector: ObjectDetector


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """torchvision's model and the detector that was made from its weights."""
    model = random_model(
        torchvision_detection(),
        canvas=SETTINGS.canvas,
        short_side=SETTINGS.short_side,
        proposals=SETTINGS.proposals,
    )
    folder = tmp_path_factory.mktemp("detector")
    state = StateDict({n: t.numpy() for n, t in model.state_dict().items()}, "random")
    graphs = faster_rcnn_onnx(state, SETTINGS)
    for name, graph in zip(("detector.onnx", HEAD), graphs, strict=True):
        (folder / name).write_bytes(graph)
    (detector,) = open_detectors(
        folder / "detector.onnx", SETTINGS.config(), features=FEATURES, threads=2
    )
    assert isinstance(detector, ObjectDetector)
    return Pair(model, detector)


def photograph(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with edges in them."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST))


class Expected(NamedTuple):
    proposals: np.ndarray
    features: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray


@torch.no_grad()
def torchvision_says(model: Any, pixels: np.ndarray) -> Expected:
    """Proposals, and of each feature, scores and the refined box of its best class."""
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    images, _ = model.transform([image])
    maps = model.backbone(images.tensors)
    (proposals,), _ = model.rpn(images, maps)
    heads, shape = model.roi_heads, images.image_sizes[0]
    features = heads.box_head(heads.box_roi_pool(maps, [proposals], images.image_sizes))
    logits, deltas = heads.box_predictor(features)
    scores = logits.softmax(dim=1)
    refined = heads.box_coder.decode(deltas, [proposals])
    best = scores[:, 1:].argmax(dim=1) + 1
    boxes = refined[torch.arange(len(best)), best]
    boxes = boxes.clamp(min=0).minimum(torch.tensor([shape[1], shape[0]] * 2))
    (result,) = model.transform.postprocess([{"boxes": boxes}], [shape], [pixels.shape[:2]])
    return Expected(*(t.numpy() for t in (proposals, features, scores)), result["boxes"].numpy())


def chosen(expected: Expected, k: int) -> list[int]:
    """Suppression for each class by itself, then the best of what is left."""
    surviving = np.full(len(expected.boxes), -np.inf)
    for column in expected.scores.T[1:]:
        for i in greedy(expected.boxes, column, 0.5):
            surviving[i] = max(surviving[i], column[i])
    raw = expected.scores[:, 1:].max(axis=1)
    return sorted(range(len(surviving)), key=lambda i: (-surviving[i], -raw[i]))[:k]


@pytest.mark.parametrize(("width", "height"), [(160, 96), (96, 131), (96, 96)])
def test_regions_equal_torchvision(pair: Pair, width: int, height: int) -> None:
    """Pictures that need no resizing: the same numbers go in."""
    pixels = photograph(width, height)
    picture = decode(pixels, pair.detector.picture_size)
    np.testing.assert_array_equal(picture.pixels, pixels)
    regions = pair.detector.detect([picture])
    expected = torchvision_says(pair.model, pixels)
    assert len(expected.proposals) == SETTINGS.proposals
    order = chosen(expected, SETTINGS.regions)
    scale = np.abs(expected.features).max()
    assert np.ptp(expected.features) > 0.1 * scale
    # float32 through sixty layers, with BatchNorm folded.
    np.testing.assert_allclose(regions.features[0], expected.features[order], atol=1e-4 * scale)
    np.testing.assert_allclose(regions.boxes[0], expected.boxes[order], atol=1e-2)


def test_proposals_equal_torchvision(pair: Pair) -> None:
    pixels = photograph(160, 120, seed=3)
    source = pair.detector._source
    backbone, head = source.graphs
    seen: list[np.ndarray] = []
    run = head.run
    head.run = lambda inputs, outputs: (seen.append(inputs["proposals"]), run(inputs, outputs))[1]  # type: ignore[method-assign]
    try:
        (found,) = source.find([Picture(pixels[:96, :128], 128, 96)])
    finally:
        head.run = run  # type: ignore[method-assign]
    expected = torchvision_says(pair.model, pixels[:96, :128])
    np.testing.assert_allclose(seen[0][0], expected.proposals, atol=1e-2)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    assert backbone.path.name == "detector.onnx"


@pytest.mark.parametrize(("width", "height"), [(50, 37), (333, 250), (90, 300)])
def test_resizing_is_torchvisions(pair: Pair, width: int, height: int) -> None:
    """Its size to the pixel, and its colours but for rounding to whole numbers."""
    pixels = photograph(width, height)
    picture = decode(pixels, pair.detector.picture_size)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    images, _ = pair.model.transform([image])
    assert picture.pixels.shape[:2] == tuple(images.image_sizes[0])
    canvas = pair.detector._source._canvas.fill([picture])  # type: ignore[attr-defined]
    assert canvas.shape == images.tensors.shape
    np.testing.assert_allclose(canvas, images.tensors.numpy(), atol=0.51 / 255 / 0.224)
    unpadded = canvas.copy()
    unpadded[..., : picture.pixels.shape[0], : picture.pixels.shape[1]] = 0
    assert (unpadded == 0).all()
