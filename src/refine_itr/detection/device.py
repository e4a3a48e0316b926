"""Devices by name: "cpu", "cuda:0", "openvino:GPU", "cann:0,1", "ascend:0-5", "auto"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from refine_itr.errors import InvalidInputError

Kind = Literal["cpu", "cuda", "openvino", "cann", "ascend"]

FORMS = "cpu, cuda:0, openvino:GPU, cann:0,1, ascend:0-5 or auto"

_MOST = 256  # of one kind: far above what a server holds
_OPENVINO = ("CPU", "GPU", "NPU")


@dataclass(frozen=True)
class Device:
    """One card or chip, or the CPU.

    Attributes:
        kind: Which runtime drives it: ONNX Runtime, but for "ascend", which is pyACL.
        target: Its number, for "openvino" its type; empty for the CPU.
    """

    kind: Kind
    target: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}" if self.target else self.kind


def parse_devices(text: str) -> tuple[Device, ...]:
    """Returns the devices that a name stands for, one for each card or chip.

    "auto" is the first kind of CUDA, CANN and the CPU that the installed ONNX Runtime drives; an
    Ascend chip through pyACL is not among them, as it needs a model that was compiled for it.

    Raises:
        InvalidInputError: The name has another form.
    """
    kind, _, targets = text.partition(":")
    if text == "auto":
        return (_best(),)
    if text == "cpu":
        return (Device("cpu"),)
    if kind == "openvino" and targets in _OPENVINO:
        return (Device("openvino", targets),)
    if kind in ("cuda", "cann", "ascend"):
        numbers = _numbers(targets)
        if numbers:
            return tuple(Device(kind, str(number)) for number in numbers)  # type: ignore[arg-type]
    raise InvalidInputError(f"device: expected {FORMS}; got {text!r}")


def join_devices(devices: Sequence[Device]) -> str:
    """Returns a name that ``parse_devices`` reads as these devices, all of one kind."""
    targets = ",".join(device.target for device in devices)
    return f"{devices[0].kind}:{targets}" if targets else devices[0].kind


def available_devices() -> dict[str, str]:
    """Returns for each kind an empty text, or why it cannot be used here."""
    from refine_itr.detection.session import missing_provider

    reasons = {kind: missing_provider(kind) for kind in get_args(Kind) if kind != "ascend"}
    reasons["ascend"] = "" if find_spec("acl") else "no module 'acl': it comes with Ascend's CANN"
    return reasons


def _best() -> Device:
    reasons = available_devices()
    for kind in ("cuda", "cann"):
        if not reasons[kind]:
            return Device(kind, "0")
    return Device("cpu")


def _numbers(text: str) -> list[int]:
    """Reads "0", "0,1" or "0-5,8"; an empty list if it is none of these."""
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if match is None:
            return []
        first, last = int(match[1]), int(match[2] or match[1])
        numbers.extend(range(first, last + 1))
        if first > last or len(numbers) > _MOST:
            return []
    return numbers if len(set(numbers)) == len(numbers) else []
