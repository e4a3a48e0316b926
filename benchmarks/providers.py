"""Do ONNX Runtime's other packages work as documented? ``python benchmarks/providers.py``.

Run it in an environment with one of them in place of onnxruntime:

* onnxruntime-openvino: embeddings of OpenVINO's CPU device must be those of the CPU provider.
* onnxruntime-cann, on a machine without CANN: the device must be refused, with advice, and not be
  replaced by the CPU.

The last line of the report says whether all holds; so does the exit status.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime as ort

import refine_itr
from refine_itr.errors import DeviceError
from refine_itr.profiling import sample_pictures

TOLERANCE = 1e-3  # of an embedding's components, which are at most 1


def largest_difference(device: str) -> float:
    """Returns by how much the default model's embeddings differ from the CPU provider's."""
    pictures = sample_pictures(None)
    embeddings = []
    for name in ("cpu", device):
        with refine_itr.load(device=name) as model:
            if model.detectors[0].backend.device != name:
                raise SystemExit(f"{name}: ran on {model.detectors[0].backend.device}")
            embeddings.append(model.embed_images(pictures))
    return float(np.abs(embeddings[0] - embeddings[1]).max())


def refusal(device: str) -> str:
    """Returns the error of a device that cannot be had; empty if there was none."""
    try:
        refine_itr.load(device=device).close()
    except DeviceError as exc:
        return str(exc)
    return ""


def main() -> None:
    providers = ort.get_available_providers()
    report: dict[str, object] = {"onnxruntime": ort.__version__, "providers": providers}
    holds = []
    if "OpenVINOExecutionProvider" in providers:
        report["openvino_cpu_difference"] = difference = largest_difference("openvino:CPU")
        report["openvino_gpu_refusal"] = refusal("openvino:GPU")
        holds.append(difference <= TOLERANCE)
    if "CANNExecutionProvider" in providers:
        report["cann_refusal"] = said = refusal("cann:0")
        holds.append("Are the device's driver and libraries installed" in said)
    report["passed"] = bool(holds) and all(holds)
    print(json.dumps(report, indent=2))
    sys.exit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()
