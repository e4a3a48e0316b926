"""ONNX Runtime: sessions on its devices, and its errors. Only benchmarks import it besides."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_itr.detection.backend import GraphShape
from refine_itr.detection.device import Device
from refine_itr.detection.graph import Arrays, Tensor
from refine_itr.errors import DetectorError, DeviceError
from refine_itr.types import FloatArray

try:
    import onnxruntime as ort
except ImportError as exc:
    raise DetectorError(
        f"ONNX Runtime cannot be imported: {exc}. Several of its packages side by side, or one "
        "that was built for NumPy 1 beside NumPy 2 (onnxruntime-cann), do this"
    ) from exc

_log = logging.getLogger("refine_itr")

_CPU = "CPUExecutionProvider"
# Kind of device: provider, the option that names the device, the package that brings it.
_PROVIDERS = {
    "cpu": (_CPU, "", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "device_id", "onnxruntime-gpu"),
    "openvino": ("OpenVINOExecutionProvider", "device_type", "onnxruntime-openvino"),
    "cann": ("CANNExecutionProvider", "device_id", "onnxruntime-cann"),
}

_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int64)": "int64"}

_ADVICE = "Are the device's driver and libraries installed, and is there such a device?"

_told: set[Device] = set()  # fallbacks that were warned of


class OnnxGraph:
    """A graph in ONNX Runtime.

    Args:
        path: The ONNX file. Weights outside of it are confined to its folder by ONNX Runtime.
        device: Where to run it.
        threads: Threads of one run on the CPU, at least 1.
        allow_fallback: Use the CPU, with a warning, where the device cannot be had.

    Raises:
        DetectorError: The file is no ONNX graph.
        DeviceError: The device cannot be had.
    """

    def __init__(
        self, path: Path, device: Device, *, threads: int, allow_fallback: bool = False
    ) -> None:
        self.path = path
        self._device = device
        self._session = _open(path, device, threads, allow_fallback)
        # The session of a CANN card has one stream: runs must take turns.
        self._turn = threading.Lock() if device.kind == "cann" else nullcontext()
        self.inputs = _tensors(self._session.get_inputs())
        self.outputs = _tensors(self._session.get_outputs())

    @property
    def device(self) -> str:
        """Where it really runs."""
        return str(self._device) if self.providers[0] == _provider(self._device) else "cpu"

    @property
    def providers(self) -> list[str]:
        """The execution providers that ONNX Runtime really uses, the first one first."""
        return list(self._session.get_providers())

    def run(self, inputs: Arrays, outputs: list[str]) -> dict[str, npt.NDArray[Any]]:
        """Returns outputs by name."""
        # On the CPU the graph or the pictures are to blame; elsewhere the device may be gone.
        failure = DetectorError if self.device == "cpu" else DeviceError
        with self._turn, translated_errors(f"detector on {self.device}", failure):
            values = self._session.run(outputs, dict(inputs))
        return dict(zip(outputs, values, strict=True))

    def close(self) -> None:
        """Nothing to give back: the session goes with the object."""


class OnnxBackend:
    """A grid detector's graph in ONNX Runtime.

    Args:
        graph: The graph on its device.
        shape: What it must take and give.

    Raises:
        DetectorError: Its inputs and outputs are others.
    """

    sizes: tuple[int, ...] = ()

    def __init__(self, graph: OnnxGraph, shape: GraphShape) -> None:
        self._graph = graph
        _check_graph(graph, shape)

    @property
    def device(self) -> str:
        """Where it really runs."""
        return self._graph.device

    @property
    def providers(self) -> list[str]:
        """The execution providers that ONNX Runtime really uses, the first one first."""
        return self._graph.providers

    def run(self, images: npt.NDArray[np.uint8]) -> FloatArray:
        """Returns float32 (n, K, C) of images uint8 (n, S, S, 3)."""
        features: FloatArray = self._graph.run({"images": images}, ["regions"])["regions"]
        return features

    def close(self) -> None:
        """Gives the device back."""
        self._graph.close()


def missing_provider(kind: str) -> str:
    """Returns why ONNX Runtime cannot drive a kind of device, or an empty text if it can."""
    provider, _, package = _PROVIDERS[kind]
    if provider in ort.get_available_providers():
        return ""
    return (
        f"expected an ONNX Runtime with {provider}; this one ({ort.__version__}) has "
        f"{', '.join(ort.get_available_providers())}. Install {package} in place of onnxruntime"
    )


@contextmanager
def translated_errors(what: str, kind: type[DetectorError] = DetectorError) -> Iterator[None]:
    """Turns whatever ONNX Runtime raises into an error of ``kind`` that names ``what``."""
    try:
        yield
    except Exception as exc:  # its exceptions share no base class of their own
        raise kind(f"{what}: {exc}") from exc


def _provider(device: Device) -> str:
    return _PROVIDERS[device.kind][0]


def _open(path: Path, device: Device, threads: int, allow_fallback: bool) -> ort.InferenceSession:
    if device.kind == "cpu":
        with translated_errors(str(path)):
            return _session(path, [_CPU], threads)
    try:
        return _open_on_device(path, device, threads)
    except DeviceError as exc:
        if not allow_fallback:
            raise
        if device not in _told:
            _told.add(device)
            _log.warning("the CPU is used instead: %s", exc)
        return _open(path, Device("cpu"), threads, False)


def _open_on_device(path: Path, device: Device, threads: int) -> ort.InferenceSession:
    provider, option, _ = _PROVIDERS[device.kind]
    missing = missing_provider(device.kind)
    if missing:
        raise DeviceError(f"{device}: {missing}")
    try:
        session = _session(path, [(provider, {option: device.target}), _CPU], threads)
    except Exception as exc:  # its exceptions share no base class of their own
        reason = " ".join(str(exc).split())
        raise DeviceError(f"{device}: {_ADVICE} ONNX Runtime says: {reason}") from exc
    # Some providers whose libraries do not load raise, some are left out silently.
    used = session.get_providers()
    if provider not in used:
        raise DeviceError(
            f"{device}: expected it to run on {provider}; ONNX Runtime could not load that and "
            f"uses {', '.join(used)}. {_ADVICE}"
        )
    got = session.get_provider_options()[provider].get(option, device.target)
    if got != device.target:
        raise DeviceError(f"{device}: expected {option} {device.target}; ONNX Runtime uses {got}")
    return session


def _session(path: Path, providers: list[object], threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between runs would take the cores from the encoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    # Its own fallback to the CPU would print to stdout, and hide why the device failed.
    return ort.InferenceSession(path, options, providers=providers, enable_fallback=0)


def _tensors(arguments: list[ort.NodeArg]) -> dict[str, Tensor]:
    return {a.name: Tensor(a.name, _DTYPES.get(a.type, a.type), tuple(a.shape)) for a in arguments}


def _check_graph(graph: OnnxGraph, shape: GraphShape) -> None:
    size = shape.input_size
    inputs = [(t.name, t.dtype, t.shape[1:]) for t in graph.inputs.values()]
    outputs = [(t.name, t.dtype, t.shape[1:]) for t in graph.outputs.values()]
    wanted_inputs = [("images", "uint8", (size, size, 3))]
    wanted_outputs = [("regions", "float32", (shape.regions, shape.features))]
    if inputs != wanted_inputs or outputs != wanted_outputs:
        raise DetectorError(
            f"{graph.path}: expected a graph {wanted_inputs} -> {wanted_outputs} "
            f"(shapes without the batch); got {inputs} -> {outputs}"
        )
