"""Calls of pyACL with their codes checked: a failed one is a ``DeviceError`` that helps."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from refine_itr.errors import DeviceError

_HINTS = {
    100000: "an argument is wrong: was detector.om compiled for another detector?",
    100003: "pyACL is not initialised",
    100011: "the .om file cannot be read, or is damaged",
    100012: "the .om does not fit this chip or this CANN: compile it again with atc",
    100013: "the .om does not fit this chip or this CANN: compile it again with atc",
    107001: "there is no such device: `npu-smi info` lists them",
    107002: "the calling thread has no context",
    145013: "the batch is none of the sizes that the .om was compiled for",
    200000: "out of memory on the chip: use smaller batches (atc --dynamic_batch_size)",
    207001: "out of memory on the chip: use smaller batches (atc --dynamic_batch_size)",
    207004: "there is no device: `npu-smi info` lists them",
}
_CLASSES = {
    1: "an error of use or environment",
    2: "a lack of resources",
    3: "a wrong state",
    5: "an internal error of CANN",
}


class Acl:
    """The ``acl`` module with every call checked.

    pyACL returns a code, or a value with a code. ``call`` takes both apart.

    Raises:
        DeviceError: There is no module ``acl``.
    """

    def __init__(self) -> None:
        try:
            acl = import_module("acl")
        except ImportError as exc:
            raise DeviceError(
                "ascend: expected the Python module 'acl', which comes with Ascend's CANN toolkit "
                f"(source its set_env.sh); {exc}"
            ) from exc
        self.module = acl

    def call(self, name: str, *arguments: Any, tolerate: tuple[int, ...] = ()) -> Any:
        """Calls ``acl.<name>``, whose result ends in a code; returns the value before it.

        Args:
            name: E.g. "rt.malloc".
            *arguments: Its arguments.
            tolerate: Codes besides 0 that are not errors.

        Raises:
            DeviceError: The code is an error's.
        """
        result = self.raw(name, *arguments)
        *values, code = result if isinstance(result, tuple) else (result,)
        if code != 0 and code not in tolerate:
            raise DeviceError(self._message(name, code))
        return values[0] if values else None

    def raw(self, name: str, *arguments: Any) -> Any:
        """Calls ``acl.<name>``, which returns no code."""
        function: Any = self.module
        for part in name.split("."):
            function = getattr(function, part)
        return function(*arguments)

    def _message(self, name: str, code: int) -> str:
        hint = _HINTS.get(code) or _CLASSES.get(code // 100000, "an unknown error")
        # The text can be had once, and only by the thread whose call failed.
        text = " ".join(str(self.raw("get_recent_err_msg") or "").split())
        return f"ascend: acl.{name} failed with {code}: {hint}" + (f" ({text})" if text else "")
