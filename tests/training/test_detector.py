"""The exported ONNX detector against the PyTorch backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from refine_itr.bundle import DetectorConfig
from refine_itr.detection import open_detectors
from refine_itr.errors import InvalidInputError
from refine_itr.training.backbone import (
    EfficientNetLite0,
    grid_regions,
    normalize_pixels,
    same_padding,
)
from refine_itr.training.export_detector import detector_onnx
from refine_itr.types import Picture


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    """Random weights that keep the signal's size, already rounded to float16."""
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(-0.2, 0.2)
            parameter.copy_(parameter.half())
    return network


@pytest.mark.parametrize(("size", "batch"), [(224, 1), (224, 3), (128, 2), (96, 5)])
def test_detector_equals_the_backbone(
    network: EfficientNetLite0, tmp_path: Path, size: int, batch: int
) -> None:
    path = tmp_path / "detector.onnx"
    path.write_bytes(detector_onnx(network, input_size=size))
    grid = size // 32 - 1
    (detector,) = open_detectors(path, DetectorConfig("grid", size, grid), features=1280, threads=2)
    pixels = np.random.default_rng(size).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    regions = detector.detect([Picture(p, 2 * size, size) for p in pixels])
    with torch.no_grad():
        expected = grid_regions(network(normalize_pixels(torch.from_numpy(pixels)))).numpy()
    assert np.ptp(expected) > 0.1
    assert regions.features.shape == (batch, grid**2, 1280)
    np.testing.assert_allclose(regions.features, expected, atol=1e-4)
    assert regions.boxes[0, -1].tolist() == pytest.approx(
        [2 * size * (grid - 1) / (grid + 1), size * (grid - 1) / (grid + 1), 2 * size, size]
    )


def test_rounding_to_float16_changes_little(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = EfficientNetLite0().eval()
    path = tmp_path / "detector.onnx"
    path.write_bytes(detector_onnx(network, input_size=64))
    (detector,) = open_detectors(path, DetectorConfig("grid", 64, 1), features=1280)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    got = detector.detect([Picture(p, 64, 64) for p in pixels]).features
    with torch.no_grad():
        expected = grid_regions(network(normalize_pixels(torch.from_numpy(pixels)))).numpy()
    assert np.abs(got - expected).max() <= 2e-3 * np.abs(expected).max()


def test_the_graph_is_small_static_and_named(network: EfficientNetLite0) -> None:
    data = detector_onnx(network, input_size=64)
    assert len(data) < 8 << 20
    model = onnx.load_model_from_string(data)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["n", 64, 64, 3]
    assert {p.key: p.value for p in model.metadata_props}["input_size"] == "64"
    assert model.producer_name == "refine-itr"


@pytest.mark.parametrize("size", [0, 32, 100])
def test_a_size_that_gives_no_grid_is_refused(network: EfficientNetLite0, size: int) -> None:
    with pytest.raises(InvalidInputError, match="input_size: expected a multiple of 32"):
        detector_onnx(network, input_size=size)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(224, 3, 2, (0, 1)), (7, 3, 2, (1, 1)), (14, 5, 2, (1, 2)), (14, 5, 1, (2, 2))],
)
def test_same_padding(size: int, kernel: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == expected
