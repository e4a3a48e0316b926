"""Calls of pyACL with their codes checked: a failed one is a ``DeviceError`` that helps."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

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
_REPEATED_INIT = 100002  # somebody else in this process uses pyACL too

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

    def initialise(self) -> bool:
        """Initialises pyACL; returns False if somebody else in this process has done so.

        Raises:
            DeviceError: It cannot be.
        """
        code = self.raw("init")
        if code not in (0, _REPEATED_INIT):
            raise DeviceError(self._failed("init", code))
        return bool(code == 0)

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls ``acl.<name>``, whose result ends in a code; returns the value before it.

        Args:
            name: E.g. "rt.malloc".
            *arguments: Its arguments.

        Raises:
            DeviceError: The code is an error's.
        """
        result = self.raw(name, *arguments)
        *values, code = result if isinstance(result, tuple) else (result,)
        if code != 0:
            raise DeviceError(self._failed(name, code))
        return values[0] if values else None

    def made(self, name: str, *arguments: Any) -> Any:
        """Calls ``acl.<name>``, which returns a handle or a number without a code: 0 is an error's.

        Raises:
            DeviceError: It returned 0.
        """
        value = self.raw(name, *arguments)
        if not value:
            raise DeviceError(f"ascend: acl.{name} returned nothing{self._recent_message()}")
        return value

    def pointer_to(self, data: bytes) -> Any:
        """Returns the address of bytes, which the caller keeps as long as it is used."""
        if hasattr(self.module.util, "bytes_to_ptr"):
            return self.made("util.bytes_to_ptr", data)
        # An older CANN takes arrays only: this one is a view of the bytes.
        return self.made("util.numpy_to_ptr", np.frombuffer(data, np.uint8))

    def bytes_at(self, pointer: Any, size: int) -> bytes:
        """Returns a copy of memory on the host."""
        if hasattr(self.module.util, "ptr_to_bytes"):
            found: bytes = self.raw("util.ptr_to_bytes", pointer, size)
        else:
            uint8 = np.dtype(np.uint8).num
            found = self.raw("util.ptr_to_numpy", pointer, (size,), uint8).tobytes()
        if len(found) != size:
            raise DeviceError(f"ascend: expected {size} bytes of results; got {len(found)}")
        return found

    def raw(self, name: str, *arguments: Any) -> Any:
        """Calls ``acl.<name>`` and returns what it does, unchecked."""
        function: Any = self.module
        for part in name.split("."):
            function = getattr(function, part)
        return function(*arguments)

    def _failed(self, name: str, code: int) -> str:
        hint = _HINTS.get(code) or _CLASSES.get(code // 100000, "an unknown error")
        return f"ascend: acl.{name} failed with {code}: {hint}{self._recent_message()}"

    def _recent_message(self) -> str:
        # It can be had once, and only by the thread whose call failed.
        text = " ".join(str(self.raw("get_recent_err_msg") or "").split())
        return f" ({text})" if text else ""
