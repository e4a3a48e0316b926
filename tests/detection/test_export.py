"""What ``export-detector`` writes for Ascend's compiler."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import onnx
import pytest
from compiling import compile_bundle

from refine_itr.bundle import read_bundle
from refine_itr.errors import DetectorError, DeviceError, InvalidInputError
from refine_itr.exporting.ascend import AscendTarget, export_ascend, run_atc

TARGET = AscendTarget.parse("Ascend310P3", "1,2,4,8")


def test_the_command(bundle: Path, tmp_path: Path) -> None:
    command = export_ascend(bundle, tmp_path / "out", TARGET, force=False)
    assert command == [
        "atc",
        "--framework=5",
        "--model=detector-atc.onnx",
        "--output=detector",
        "--input_format=NCHW",
        "--input_shape=images:-1,3,24,24",
        "--dynamic_batch_size=1,2,4,8",
        "--insert_op_conf=aipp.cfg",
        "--soc_version=Ascend310P3",
    ]
    static = export_ascend(
        bundle, tmp_path / "static", AscendTarget.parse("Ascend310", "16"), force=False
    )
    assert "--input_shape=images:16,3,24,24" in static
    assert not any("dynamic" in word for word in static)


def test_the_folder_is_a_bundle_too(bundle: Path, tmp_path: Path) -> None:
    folder = compile_bundle(bundle, tmp_path / "out")
    assert read_bundle(folder).fingerprint == read_bundle(bundle).fingerprint
    graph = onnx.load(folder / "detector-atc.onnx").graph
    assert graph.node[0].op_type not in ("Cast", "Transpose", "Sub", "Div")
    dims = graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["n", 3, 24, 24]
    aipp = (folder / "aipp.cfg").read_text()
    assert "mean_chn_0: 127\n" in aipp
    assert "var_reci_chn_2: 0.0078125\n" in aipp


def test_nothing_is_overwritten_unasked(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidInputError, match="it is there already"):
        export_ascend(bundle, tmp_path / "out", TARGET, force=False)
    export_ascend(bundle, tmp_path / "out", TARGET, force=True)
    export_ascend(tmp_path / "out", tmp_path / "out", TARGET, force=True)  # into itself


@pytest.mark.parametrize("soc", ["", "310P3", "Ascend310P3; rm -rf /", "Ascend310P3\n", "Ascend"])
def test_chips_that_are_none(soc: str) -> None:
    with pytest.raises(InvalidInputError, match="--soc: expected a name such as Ascend310P3"):
        AscendTarget.parse(soc, "1")


@pytest.mark.parametrize("batch", ["", "0", "2,1", "1,1", "1,x", "129", "1,,2", "-1"])
def test_batches_that_are_none(batch: str) -> None:
    with pytest.raises(InvalidInputError, match="--batch: expected ascending sizes"):
        AscendTarget.parse("Ascend310", batch)


def test_a_graph_without_the_preprocessing(bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(bundle / "detector.onnx")
    model.graph.node[2].op_type = "Add"
    onnx.save(model, bundle / "detector.onnx")
    with pytest.raises(DetectorError, match="expected a graph that begins with Cast, Transpose"):
        export_ascend(bundle, tmp_path / "out", TARGET, force=False)
    assert not (tmp_path / "out").exists()


def test_running_atc(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    command = export_ascend(bundle, folder, TARGET, force=False)
    with pytest.raises(DeviceError, match="expected Ascend's compiler on the PATH"):
        run_atc(command, folder)
    program = tmp_path / "bin" / "atc"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nopen('seen', 'w').write(sys.argv[-1])\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    run_atc(command, folder)
    assert (folder / "seen").read_text() == "--soc_version=Ascend310P3"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('E40001: no')\nsys.exit(3)\n")
    with pytest.raises(DeviceError, match="atc: failed with 3: E40001: no"):
        run_atc(command, folder)
