"""Devices by name, and ONNX Runtime's providers behind them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refine_itr
from refine_itr.assembly import default_plan
from refine_itr.detection import (
    Device,
    available_devices,
    join_devices,
    parse_devices,
    probe,
    session,
)
from refine_itr.errors import DeviceError, InvalidInputError


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("cpu", ["cpu"]),
        ("cuda:0", ["cuda:0"]),
        ("openvino:GPU", ["openvino:GPU"]),
        ("cann:0,1", ["cann:0", "cann:1"]),
        ("ascend:0-5", [f"ascend:{i}" for i in range(6)]),
        ("ascend:0-1,7", ["ascend:0", "ascend:1", "ascend:7"]),
        ("auto", ["cpu"]),
    ],
)
def test_names(text: str, devices: list[str]) -> None:
    parsed = parse_devices(text)
    assert [str(device) for device in parsed] == devices
    assert parse_devices(join_devices(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "gpu", "cuda", "cuda:", "cuda:x", "cpu:0", "openvino:0", "openvino:gpu", "ascend:5-0",
     "ascend:0-300", "cann:0,0", "cuda:0,", "ascend:-1", "auto:0", "cuda:²", "CPU"],
)  # fmt: skip
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInputError, match="device: expected cpu, cuda:0, openvino:GPU"):
        parse_devices(text)


@given(st.text(max_size=12) | st.from_regex(r"(cuda|cann|ascend):[0-9,-]{1,8}", fullmatch=True))
def test_any_text_is_devices_or_refused(text: str) -> None:
    try:
        parsed = parse_devices(text)
    except InvalidInputError:
        return
    assert 1 <= len(set(parsed)) == len(parsed) <= 256


def test_why_a_device_is_not_available() -> None:
    reasons = available_devices()
    assert reasons["cpu"] == ""
    assert "onnxruntime-gpu" in reasons["cuda"]
    assert "onnxruntime-cann" in reasons["cann"]
    assert "CANN" in reasons["ascend"]


@pytest.mark.parametrize("device", ["cuda:0", "cann:1", "openvino:CPU"])
def test_a_missing_provider_is_an_error_with_advice(bundle: Path, device: str) -> None:
    package = {"cuda": "gpu", "cann": "cann", "openvino": "openvino"}[device.split(":")[0]]
    with pytest.raises(DeviceError, match=f"{device}: expected .*Install onnxruntime-{package}"):
        refine_itr.load(bundle, device=device)


def test_an_allowed_fallback_is_told_once(
    bundle: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_told", set())
    for _ in range(2):
        model = refine_itr.load(bundle, device="cuda:3", allow_fallback=True)
        assert model.detectors[0].backend.device == "cpu"
        assert len(model.embed_images([np.zeros((9, 9, 3), np.uint8)])) == 1
    assert len(caplog.records) == 1
    assert "the CPU is used instead: cuda:3" in caplog.text


class Pretender:
    """A session of ONNX Runtime that claims a provider."""

    def __init__(self, used: list[str], options: dict[str, str]) -> None:
        self._real: Any = None
        self._used, self._options = used, options

    def __call__(
        self, path: object, options: object, providers: list[object], **settings: object
    ) -> Pretender:
        self.asked = providers
        self._real = _InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return self

    def get_providers(self) -> list[str]:
        return self._used

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return dict.fromkeys(self._used, self._options)

    def run(self, *_: object) -> None:
        raise RuntimeError("CUDA failure 700")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


_InferenceSession = ort.InferenceSession
CUDA, CANN, CPU = "CUDAExecutionProvider", "CANNExecutionProvider", "CPUExecutionProvider"


def pretend(monkeypatch: pytest.MonkeyPatch, used: list[str], **options: str) -> Pretender:
    pretender = Pretender(used, options)
    monkeypatch.setattr(session.ort, "get_available_providers", lambda: [CUDA, CANN, CPU])
    monkeypatch.setattr(session.ort, "InferenceSession", pretender)
    return pretender


def test_a_silent_fallback_is_noticed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [CPU])
    with pytest.raises(DeviceError, match=f"cuda:0: expected it to run on {CUDA}; .* uses {CPU}"):
        refine_itr.load(bundle, device="cuda:0")


def test_a_provider_that_fails_to_load(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [CUDA, CPU])

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("libcudart.so:\n cannot open")

    monkeypatch.setattr(session.ort, "InferenceSession", fail)
    with pytest.raises(DeviceError, match=r"cuda:0: Are the .* libcudart\.so: cannot open"):
        refine_itr.load(bundle, device="cuda:0")


def test_another_card_than_asked_is_noticed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, [CUDA, CPU], device_id="0")
    with pytest.raises(DeviceError, match="cuda:1: expected device_id 1; ONNX Runtime uses 0"):
        refine_itr.load(bundle, device="cuda:1")


def test_the_device_is_asked_for_and_said(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretender = pretend(monkeypatch, [CUDA, CPU], device_id="1")
    model = refine_itr.load(bundle, device="cuda:1")
    assert pretender.asked == [(CUDA, {"device_id": "1"}), CPU]
    assert model.detectors[0].backend.device == "cuda:1"
    assert parse_devices("auto") == (Device("cuda", "0"),)
    with pytest.raises(DeviceError, match="detector on cuda:1: CUDA failure 700"):
        model.embed_images([np.zeros((9, 9, 3), np.uint8)])


def test_a_planned_card_that_does_not_work_is_an_error(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, [CPU])
    plan = default_plan("cuda:0", 1, 2)
    with pytest.raises(DeviceError, match=f"cuda:0: expected it to run on {CUDA}"):
        refine_itr.load(bundle, plan=plan)
    model = refine_itr.load(bundle, plan=plan, allow_fallback=True)
    assert model.detectors[0].backend.device == "cpu"


def test_the_command_line_tells_a_fallback_once(
    bundle: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        monkeypatch.setattr(session, "_told", set())
        told = run("doctor", "-m", bundle, "--device", "cuda:3", "--allow-fallback")
        assert told.code == 0
        assert told.err.count("the CPU is used instead: cuda:3") == 1


def test_runs_on_a_cann_card_take_turns(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretender = pretend(monkeypatch, [CANN, CPU], device_id="0")
    running, together = 0, []

    def run(*_: object) -> list[np.ndarray]:
        nonlocal running
        running += 1
        together.append(running)
        time.sleep(0.01)
        running -= 1
        return [np.zeros((1, 4, 6), np.float32)]

    monkeypatch.setattr(pretender, "run", run)
    (detector,) = refine_itr.load(bundle, device="cann:0").detectors
    threads = [threading.Thread(target=probe, args=(detector,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1] * 8


def test_auto_takes_the_cpu_when_the_card_does_not_work(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "_told", set())
    pretend(monkeypatch, [CPU])
    model = refine_itr.load(bundle)
    assert model.detectors[0].backend.device == "cpu"
    assert "cuda:0" in caplog.text
