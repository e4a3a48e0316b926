"""Exporting torchvision's Faster R-CNN where torchvision is not: names, shapes, files, errors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from refine_itr.bundle import DETECTOR_CONFIG, HEAD, read_detector
from refine_itr.decoding import decode
from refine_itr.detection import open_detectors
from refine_itr.errors import BundleError, DetectorError, InvalidInputError, MissingExtraError
from refine_itr.exporting.faster_rcnn import FEATURES, FasterRcnnSettings, faster_rcnn_onnx
from refine_itr.exporting.folder import export_torchvision
from refine_itr.exporting.state import StateDict, read_state

NAME = "torchvision:fasterrcnn_resnet50_fpn_v2"
SETTINGS = FasterRcnnSettings(canvas=64, short_side=64, proposals=9, regions=4)


class Wanted(StateDict):
    """Random weights of whatever shape is asked for."""

    def __init__(self) -> None:
        super().__init__({}, "random")
        self.taken: dict[str, np.ndarray] = {}
        self._rng = np.random.default_rng(0)

    def take(self, name: str, *shape: int) -> np.ndarray:
        assert name not in self.taken
        spread = np.sqrt(2 / max(1, np.prod(shape[1:])))
        values = self._rng.standard_normal(shape, np.float32) * np.float32(spread)
        self.taken[name] = np.abs(values) + 0.5 if name.endswith("running_var") else values
        return self.taken[name]


@pytest.fixture(scope="module")
def wanted() -> Wanted:
    weights = Wanted()
    faster_rcnn_onnx(weights, SETTINGS)
    return weights


@pytest.fixture(scope="module")
def weights_file(wanted: Wanted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(wanted.taken, path)
    return path


def test_the_weights_are_those_of_the_published_file(wanted: Wanted) -> None:
    """Numbers that torchvision's documentation gives: 43,712,278 parameters, without statistics."""
    counted = {n: w for n, w in wanted.taken.items() if "running" not in n}
    assert sum(w.size for w in counted.values()) == 43_712_278
    assert wanted.taken["roi_heads.box_head.5.weight"].shape == (1024, 256 * 7 * 7)


def test_export_and_detect(
    weights_file: Path, tmp_path: Path, run: Callable[..., Any], photos: Path
) -> None:
    out = tmp_path / "detector"
    ask = ("export-detector", NAME, "--weights", weights_file, "--out", out, "--canvas", 64,
           "--short-side", 64, "--proposals", 9, "--regions", 4)  # fmt: skip
    result = run(*ask)
    assert result.code == 0, result.err
    assert result.out == f"{out}: two graphs and detector.json\n"
    assert sorted(p.name for p in out.iterdir()) == ["detector-head.onnx", "detector.json",
                                                     "detector.onnx"]  # fmt: skip
    config = read_detector(out)
    assert config == SETTINGS.config()
    (detector,) = open_detectors(out / "detector.onnx", config, features=FEATURES, threads=2)
    pictures = [decode(p, detector.picture_size) for p in sorted(photos.rglob("*.jpg"))[:3]]
    regions = detector.detect(pictures)
    assert regions.features.shape == (3, 4, FEATURES)
    assert np.ptp(regions.features, axis=(1, 2)).min() > 0
    assert (regions.boxes >= 0).all()
    assert (regions.boxes[..., 2:] <= [60, 40]).all()
    assert run(*ask).code == 2  # the folder is there already
    assert run(*ask, "--force").code == 0


def test_every_size_is_fixed(weights_file: Path, tmp_path: Path) -> None:
    export_torchvision(NAME, str(weights_file), tmp_path, SETTINGS, force=True)
    for name in ("detector.onnx", HEAD):
        graph = onnx.load(tmp_path / name).graph
        for tensor in (*graph.input, *graph.output):
            assert all(d.dim_value > 0 for d in tensor.type.tensor_type.shape.dim), tensor.name
        # What the offline compilers do not have.
        assert not {"NonMaxSuppression", "NonZero", "If", "Loop"} & {n.op_type for n in graph.node}


def test_weights_as_pytorch_saves_them(wanted: Wanted, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    tensors = {name: torch.from_numpy(w) for name, w in wanted.taken.items()}
    torch.save(tensors | {"backbone.body.bn1.num_batches_tracked": torch.tensor(7)}, path)
    read = read_state(str(path), "")
    name = "roi_heads.box_predictor.cls_score.bias"
    np.testing.assert_array_equal(read.take(name, 91), wanted.taken[name])


class Malice:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def test_no_code_in_a_file_of_weights_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Malice()}, tmp_path / "w.pth")
    with pytest.raises(InvalidInputError, match=r"w\.pth: expected PyTorch weights"):
        read_state(str(tmp_path / "w.pth"), "")
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04", bytes(100)])
def test_files_that_are_no_weights(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"{name}: expected "):
        read_state(str(tmp_path / name), "")


def test_numbers_of_eight_bits(tmp_path: Path) -> None:
    save_torch_file({"x": torch.ones(2, dtype=torch.float8_e4m3fn)}, tmp_path / "w.safetensors")
    with pytest.raises(InvalidInputError, match=r"safetensors: x: expected F64, .*; got F8_E4M3"):
        read_state(str(tmp_path / "w.safetensors"), "")


def test_weights_that_repeat_a_number(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(1).expand(1 << 40)}, tmp_path / "w.pth")
    with pytest.raises(InvalidInputError, match="no more numbers than the file has bytes"):
        read_state(str(tmp_path / "w.pth"), "")


def test_weights_that_unpack_to_more(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1 << 16)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(InvalidInputError, match="uncompressed; it declares"):
        read_state(str(tmp_path / "w.pth"), "")


@pytest.mark.filterwarnings("ignore:Validating sparse")  # PyTorch 2.14 says so
def test_weights_that_are_sparse(tmp_path: Path) -> None:
    torch.save({"x": torch.eye(2).to_sparse()}, tmp_path / "w.pth")
    with pytest.raises(InvalidInputError, match="expected plain tensors"):
        read_state(str(tmp_path / "w.pth"), "")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(
    ("name", "save"), [("w.pth", torch.save), ("w.safetensors", save_torch_file)]
)
def test_weights_of_other_precision(
    dtype: torch.dtype, name: str, save: Callable[..., None], tmp_path: Path
) -> None:
    save({"x": torch.full((2,), -1.5, dtype=dtype)}, tmp_path / name)
    taken = read_state(str(tmp_path / name), "").take("x", 2)
    assert taken.dtype == np.float32
    assert taken.tolist() == [-1.5, -1.5]


def test_other_things_that_pytorch_saves(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "w.pth")
    with pytest.raises(InvalidInputError, match=r"expected tensors by name, .*; got list"):
        read_state(str(tmp_path / "w.pth"), "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.pop("rpn.head.conv.1.0.bias"),
            "conv.1.0.bias: expected float32 (256,); got n",
        ),
        (
            lambda w: w.update({"backbone.body.conv1.weight": np.ones((64, 3, 3, 3), "f4")}),
            "conv1.weight: expected float32 (64, 3, 7, 7); got float32 (64, 3, 3, 3)",
        ),
        (
            lambda w: w.update({"backbone.body.bn1.bias": np.full(64, np.nan, "f4")}),
            "bn1.bias: expected finite values",
        ),
        (lambda w: w.update(mask=np.ones(1, "f4")), "of this architecture only; got also mask"),
    ],
)
def test_weights_of_another_architecture(
    change: Callable[[dict[str, Any]], object], message: str, wanted: Wanted
) -> None:
    arrays = dict(wanted.taken)
    change(arrays)
    with pytest.raises(InvalidInputError) as caught:
        faster_rcnn_onnx(StateDict(arrays, "file"), SETTINGS)
    assert message in str(caught.value)


def test_the_published_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def load(url: str, **options: Any) -> dict[str, torch.Tensor]:
        asked.update(options, url=url)
        if url == "fails":
            raise OSError("no network")
        return {"x": torch.ones(2)}

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
    assert read_state("DEFAULT", "https://x/y.pth").take("x", 2).tolist() == [1, 1]
    assert asked["check_hash"]
    assert asked["weights_only"]
    with pytest.raises(InvalidInputError, match=r"expected the published weights at fails"):
        read_state("DEFAULT", "fails")


def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    (tmp_path / "w.pth").touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    for weights in ("DEFAULT", str(tmp_path / "w.pth")):
        with pytest.raises(MissingExtraError, match="train"):
            read_state(weights, "")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="export"):
        faster_rcnn_onnx(StateDict({}, ""), SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("torchvision:maskrcnn",), f"expected the detector {NAME}"),
        ((NAME,), "--weights: expected DEFAULT or a file; got none"),
        ((NAME, "--weights", "nowhere.pth"), "--weights: expected DEFAULT or a file"),
        ((NAME, "--canvas", "100"), "--canvas: expected a multiple of 32"),
        ((NAME, "--short-side", "801"), "--short-side: expected 8 to the canvas, 800"),
        ((NAME, "--regions", "301"), "expected 1 <= regions <= proposals"),
        ((NAME, "--proposals", "9999"), "expected 1 <= regions <= proposals"),
    ],
)
def test_a_users_mistakes(
    arguments: tuple[str, ...], message: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    result = run("export-detector", *arguments, "--out", tmp_path / "out")
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "kind: expected one of grid, single-graph, two-stage; got None"),
        ('{"kind": "two-stage"}', "missing outputs, pixels, proposals, selection"),
    ],
)
def test_a_damaged_description(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected a file of the bundle"):
        read_detector(tmp_path)
    (tmp_path / DETECTOR_CONFIG).write_text(content)
    with pytest.raises(BundleError) as caught:
        read_detector(tmp_path)
    assert DETECTOR_CONFIG in str(caught.value)
    assert message in str(caught.value)


def test_graphs_of_another_canvas_are_noticed(weights_file: Path, tmp_path: Path) -> None:
    export_torchvision(NAME, str(weights_file), tmp_path, SETTINGS, force=True)
    config = FasterRcnnSettings(canvas=96, short_side=96, proposals=9, regions=4).config()
    with pytest.raises(DetectorError, match=r"'images': expected float32 \(n, 3, 96, 96\)"):
        open_detectors(tmp_path / "detector.onnx", config, features=FEATURES)
    assert json.loads((tmp_path / DETECTOR_CONFIG).read_text())["pixels"]["canvas"] == 64
