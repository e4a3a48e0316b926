"""A bundle's detector for ATC, Ascend's offline compiler.

The graph that comes with a bundle takes uint8 pixels, rows of RGB, and prepares them itself. On
the chip AIPP, the image preprocessing unit, does this instead: the graph for ATC begins after it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from refine_itr.bundle import OM, DetectorConfig, read_bundle
from refine_itr.errors import DetectorError, DeviceError, InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    import onnx

ATC_ONNX = "detector-atc.onnx"
AIPP = "aipp.cfg"
SCRIPT = "atc.sh"

_MOST_BATCH = 128  # ATC's limit for dynamic batches
_MOST_GEARS = 100


@dataclass(frozen=True)
class AscendTarget:
    """What to compile for.

    Attributes:
        soc: The chip, e.g. "Ascend310P3".
        gears: Batch sizes, ascending.
    """

    soc: str
    gears: tuple[int, ...]

    @classmethod
    def parse(cls, soc: str, batch: str) -> AscendTarget:
        """Reads the options of the command line.

        Raises:
            InvalidInputError: The chip's name or the batch sizes have another form.
        """
        if not re.fullmatch(r"Ascend[0-9]{3}[A-Za-z0-9_-]{0,16}", soc):
            raise InvalidInputError(f"--soc: expected a name such as Ascend310P3; got {soc!r}")
        parts = batch.split(",")
        gears = (
            tuple(int(p) for p in parts) if all(re.fullmatch(r"\d{1,3}", p) for p in parts) else ()
        )
        ascending = list(gears) == sorted(set(gears)) and len(gears) <= _MOST_GEARS
        if not gears or not ascending or gears[0] < 1 or gears[-1] > _MOST_BATCH:
            raise InvalidInputError(
                f"--batch: expected ascending sizes from 1 to {_MOST_BATCH}, such as 1,2,4,8; "
                f"got {batch!r}"
            )
        return cls(soc, gears)


def export_ascend(bundle: Path, out: Path, target: AscendTarget, *, force: bool) -> list[str]:
    """Writes a copy of the bundle with the files for ATC into ``out``.

    Returns:
        The ATC command, to be run in ``out``.

    Raises:
        InvalidInputError: ``out`` is there already, without ``force``.
        DetectorError: The detector does not begin with the preprocessing that AIPP replaces, or
            the bundle has none.
        MissingExtraError: The package onnx is not installed.
    """
    source = read_bundle(bundle)
    if source.config.detector is None or source.detector_path is None:
        raise DetectorError(f"{bundle}: expected a bundle with a detector; its regions are files")
    if not isinstance(source.config.detector, DetectorConfig):
        raise DetectorError(
            f"{bundle}: expected a grid detector; got {source.config.detector.kind!r}, "
            "whose graphs atc takes as they are"
        )
    size = source.config.detector.input_size
    if out.exists() and not force:
        raise InvalidInputError(f"{out}: expected a new folder (or --force); it is there already")
    graph, mean, scale = _without_preprocessing(source.detector_path, size)
    if out.resolve() != bundle.resolve():
        shutil.copytree(bundle, out, dirs_exist_ok=True)
    # What was compiled before is of another graph, or for other batches.
    (out / OM).unlink(missing_ok=True)
    (out / ATC_ONNX).write_bytes(graph.SerializeToString())
    (out / AIPP).write_text(_aipp(size, mean, scale), "utf-8")
    command = _atc_command(size, target)
    (out / SCRIPT).write_text("#!/bin/sh\n" + " ".join(map(_quoted, command)) + "\n", "utf-8")
    return command


def run_atc(command: list[str], folder: Path) -> None:
    """Runs ATC in the folder.

    Raises:
        DeviceError: It is not installed, or it failed; the message has what it said.
    """
    program = shutil.which(command[0])
    if program is None:
        raise DeviceError(
            "atc: expected Ascend's compiler on the PATH (source CANN's set_env.sh), or run "
            f"{folder / SCRIPT} where it is installed"
        )
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-3:]
        raise DeviceError(f"atc: failed with {done.returncode}: {' '.join(said)}")


def _atc_command(size: int, target: AscendTarget) -> list[str]:
    static = len(target.gears) == 1
    shape = f"images:{target.gears[0] if static else -1},3,{size},{size}"
    gears = [] if static else [f"--dynamic_batch_size={','.join(map(str, target.gears))}"]
    return [
        "atc",
        "--framework=5",  # ONNX
        f"--model={ATC_ONNX}",
        f"--output={OM.removesuffix('.om')}",
        "--input_format=NCHW",
        f"--input_shape={shape}",
        *gears,
        f"--insert_op_conf={AIPP}",
        f"--soc_version={target.soc}",
    ]


def _aipp(size: int, mean: float, scale: float) -> str:
    """Returns AIPP's settings: (pixel - mean) / scale, channels as they come."""
    lines = [
        "aipp_op {",
        "  aipp_mode: static",
        "  related_input_rank: 0",
        "  input_format: RGB888_U8",
        f"  src_image_size_w: {size}",
        f"  src_image_size_h: {size}",
        "  csc_switch: false",
        "  rbuv_swap_switch: false",
    ]
    lines += [f"  mean_chn_{channel}: {mean:.0f}" for channel in range(3)]
    lines += [f"  var_reci_chn_{channel}: {1 / scale:.10g}" for channel in range(3)]
    return "\n".join([*lines, "}"]) + "\n"


def _without_preprocessing(path: Path, size: int) -> tuple[onnx.ModelProto, float, float]:
    """Returns the graph from normalised pixels (n, 3, S, S) on, and the mean and scale before."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as exc:
        raise MissingExtraError("exporting a detector", "export") from exc
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    head = list(graph.node[:4])
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    chained = all(b.input[0] == a.output[0] for a, b in pairwise(head))
    if [n.op_type for n in head] != ["Cast", "Transpose", "Sub", "Div"] or not chained:
        raise DetectorError(
            f"{path}: expected a graph that begins with Cast, Transpose, Sub and Div of its "
            f"pixels, which AIPP replaces; got {[n.op_type for n in head]}"
        )
    mean, scale = (values[node.input[1]] for node in head[2:])
    if mean.size != 1 or scale.size != 1 or float(mean) % 1:
        raise DetectorError(f"{path}: expected one whole mean and one scale; got {mean}, {scale}")
    del graph.node[:4]
    for node in head[2:]:
        graph.initializer.remove(next(i for i in graph.initializer if i.name == node.input[1]))
    normalised = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, size, size])
    graph.input[0].CopyFrom(normalised)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == head[-1].output[0]:
                node.input[place] = "images"
    onnx.checker.check_model(model)
    return model, float(mean), float(scale)


def _quoted(argument: str) -> str:
    # Options hold names, numbers and commas only; quotes keep it so if one is edited.
    return f"'{argument}'" if "=" in argument else argument
