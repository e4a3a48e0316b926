"""Compiled models of the stand-in: made as atc makes them, and run by ONNX Runtime."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort

DYNAMIC = "ascend_mbatch_shape_data"
SOC = "Ascend310P3"


def compile_om(folder: Path) -> None:
    """What atc does: reads the command in atc.sh and makes detector.om of the files it names."""
    words = (folder / "atc.sh").read_text().splitlines()[1].replace("'", "").split()
    assert words[0] == "atc"
    options = dict(word.removeprefix("--").split("=", 1) for word in words[1:])
    assert options["framework"] == "5"
    assert options["input_format"] == "NCHW"
    name, shape = options["input_shape"].split(":")
    dims = [int(n) for n in shape.split(",")]
    gears = [int(n) for n in options.get("dynamic_batch_size", "").split(",") if n]
    assert (dims[0] == -1) == bool(gears)
    aipp = dict(re.findall(r"(\w+): (\S+)", (folder / options["insert_op_conf"]).read_text()))
    assert aipp["input_format"] == "RGB888_U8"
    assert int(aipp["src_image_size_w"]) == dims[3]
    about = {"soc": options["soc_version"], "input": name, "dims": dims, "gears": gears}
    about["mean"] = [float(aipp[f"mean_chn_{c}"]) for c in range(3)]
    about["factor"] = [float(aipp[f"var_reci_chn_{c}"]) for c in range(3)]
    with zipfile.ZipFile(folder / f"{options['output']}.om", "w") as om:
        om.writestr("graph.onnx", (folder / options["model"]).read_bytes())
        om.writestr("about.json", json.dumps(about))


class OmModel:
    """A model in the chip's memory.

    Raises:
        zipfile.BadZipFile: The content is no model.
    """

    def __init__(self, content: bytes) -> None:
        with zipfile.ZipFile(io.BytesIO(content)) as om:
            self.about = json.loads(om.read("about.json"))
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            self.session = ort.InferenceSession(om.read("graph.onnx"), options)
        self.gears = self.about["gears"] or [self.about["dims"][0]]
        self.size = self.about["dims"][3]
        self.regions = self.session.get_outputs()[0].shape[1:]
        dynamic = bool(self.about["gears"])
        self.input_names = [self.about["input"], *([DYNAMIC] if dynamic else [])]
        self.input_bytes = [self.gears[-1] * self.size**2 * 3, *([8] if dynamic else [])]
        self.output_bytes = self.gears[-1] * 4 * int(np.prod(self.regions))

    def run(self, pixels: bytes, count: int) -> bytes:
        images = np.frombuffer(pixels, np.uint8)[: count * self.size**2 * 3]
        images = images.reshape(count, self.size, self.size, 3).astype(np.float32)
        images = (images - np.float32(self.about["mean"])) * np.float32(self.about["factor"])
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return self.session.run(None, {self.about["input"]: planes})[0].tobytes()
