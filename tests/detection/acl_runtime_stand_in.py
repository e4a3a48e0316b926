"""The stand-in for ``acl``: how its calls are counted and fail, and all of it but models."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from om_stand_in import OmModel

PARAMETER, UNINITIALISED, REPEATED, UNREADABLE, UNFIT = 100000, 100003, 100002, 100011, 100012
NO_SUCH_DEVICE, NO_CONTEXT, BAD_GEAR, OUT_OF_MEMORY = 107001, 107002, 145013, 207001
INJECTED = 500001


@dataclass
class Memory:
    data: bytearray
    on_device: bool
    context: int
    written: bool = False


@dataclass
class Desc:
    context: int
    model: int | None = None


@dataclass
class Dataset:
    context: int
    buffers: list[int] = field(default_factory=list)
    gear: int | None = None


@dataclass
class Run:
    model: OmModel
    inputs: list[int]  # memory
    output: int
    count: int


class AclRuntime:
    """The part without models: process, devices, contexts, streams and memory.

    Args:
        chips: How many there are.
        fail_at: The number of the call, from 1, that fails; 0 for none. A call that releases
            something does so all the same.
        code: What it returns then, if it returns a code.
        memory: Bytes on all chips together.
        old: Only the ways of CANN's older versions between Python's memory and pointers.
    """

    def __init__(
        self,
        chips: int = 4,
        fail_at: int = 0,
        code: int = INJECTED,
        memory: int = 1 << 30,
        old: bool = False,
    ) -> None:
        self.violations: list[str] = []
        self.calls: list[str] = []
        self.dead_chips: set[int] = set()
        self._chips, self._fail_at, self._memory_limit = chips, fail_at, memory
        self._code = code
        self._lock = threading.RLock()
        self._initialised = False
        self._handle = 1000
        self._devices: set[int] = set()
        self._contexts: dict[int, int] = {}
        self._streams: dict[int, tuple[int, list[Run]]] = {}
        self._descs: dict[int, Desc] = {}
        self._models: dict[int, tuple[OmModel, int]] = {}
        self._memory: dict[int, Memory] = {}
        self._buffers: dict[int, tuple[int, int]] = {}
        self._datasets: dict[int, Dataset] = {}
        self._bytes: deque[tuple[int, bytes]] = deque(maxlen=16)
        self._thread = threading.local()
        self.rt = self._group("rt")
        ways = ("numpy_to_ptr", "ptr_to_numpy") if old else ("bytes_to_ptr", "ptr_to_bytes")
        self.util = SimpleNamespace(
            **{way: self._uncoded(f"util.{way}", getattr(self, f"_{way}")) for way in ways}
        )
        self.init = self._coded("init", self._init)
        self.finalize = self._coded("finalize", self._finalize)

    def assert_clean(self) -> None:
        """Nothing was done wrong and nothing is left."""
        assert not self.violations, self.violations
        left = {
            name: len(table)
            for name, table in vars(self).items()
            if name in ("_devices", "_contexts", "_streams", "_descs", "_models", "_memory",
                        "_buffers", "_datasets") and table
        }  # fmt: skip
        assert not left, left

    # -- plumbing

    def _group(self, name: str) -> SimpleNamespace:
        """Every method ``_rt_x`` or ``_mdl_x`` as ``x``; those in _UNCODED return no code."""
        prefix = f"_{name}_"
        functions = {}
        for attribute in dir(self):
            if attribute.startswith(prefix):
                short = attribute.removeprefix(prefix)
                function = getattr(self, attribute)
                full = f"{name}.{short}"
                wrap = self._uncoded if full in _UNCODED else self._coded
                functions[short] = wrap(full, function)
        return SimpleNamespace(**functions)

    def _coded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with self._lock:
                self.calls.append(name)
                fails = len(self.calls) == self._fail_at
                releases = name.split(".")[-1].startswith(
                    ("destroy", "free", "unload", "reset", "final")
                )
                if fails and not releases:
                    self._thread.message = f"EZ9999: {name} was made to fail"
                    return (0, self._code) if name in _VALUED else self._code
                result = function(*arguments)
                return self._code if fails else result

        return call

    def _uncoded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """One that can only say by what it returns that it has failed."""

        def call(*arguments: Any) -> Any:
            with self._lock:
                self.calls.append(name)
                if len(self.calls) == self._fail_at:
                    return _FAILURES.get(name, 0)
                return function(*arguments)

        return call

    def _new(self) -> int:
        self._handle += 64
        return self._handle

    def _broken(self, text: str, code: int) -> int:
        self.violations.append(text)
        self._thread.message = f"EE1001: {text}"
        return code

    def _context(self, what: str) -> int:
        """The thread's context, or 0 after noting that it has none."""
        context = getattr(self._thread, "context", 0)
        if context in self._contexts:
            return int(context)
        self._broken(f"{what} without a context in this thread", NO_CONTEXT)
        return 0

    def get_recent_err_msg(self) -> str:
        message = getattr(self._thread, "message", "")
        self._thread.message = ""
        return message

    # -- process

    def _init(self) -> int:
        if self._initialised:
            return REPEATED
        self._initialised = True
        return 0

    def _finalize(self) -> int:
        if not self._initialised:
            return self._broken("finalize before init", UNINITIALISED)
        if self._devices or self._contexts:
            self._broken("finalize with a device still set", 0)
        self._initialised = False
        return 0

    # -- devices, contexts, streams

    def _rt_set_device(self, device: int) -> int:
        if not self._initialised:
            return self._broken("set_device before init", UNINITIALISED)
        if not 0 <= device < self._chips:
            return NO_SUCH_DEVICE
        self._devices.add(device)
        return 0

    def _rt_reset_device(self, device: int) -> int:
        if device not in self._devices:
            return self._broken("reset_device of a device that is not set", PARAMETER)
        if device in self._contexts.values():
            self._broken("reset_device with a context alive", 0)
        self._devices.discard(device)
        return 0

    def _rt_create_context(self, device: int) -> tuple[int, int]:
        if device not in self._devices:
            return 0, self._broken("create_context before set_device", NO_SUCH_DEVICE)
        context = self._new()
        self._contexts[context] = device
        self._thread.context = context
        return context, 0

    def _rt_set_context(self, context: int) -> int:
        if context not in self._contexts:
            return self._broken("set_context of no context", NO_CONTEXT)
        self._thread.context = context
        return 0

    def _rt_destroy_context(self, context: int) -> int:
        if context not in self._contexts:
            return self._broken("destroy_context of no context", PARAMETER)
        if any(owner == context for owner, _ in self._streams.values()):
            self._broken("destroy_context with a stream alive", 0)
        if any(owner == context for _, owner in self._models.values()):
            self._broken("destroy_context with a model alive", 0)
        if any(memory.context == context for memory in self._memory.values()):
            self._broken("destroy_context with memory alive", 0)
        del self._contexts[context]
        return 0

    def _rt_create_stream(self) -> tuple[int, int]:
        context = self._context("create_stream")
        if not context:
            return 0, NO_CONTEXT
        stream = self._new()
        self._streams[stream] = (context, [])
        return stream, 0

    def _rt_destroy_stream(self, stream: int) -> int:
        if stream not in self._streams:
            return self._broken("destroy_stream of no stream", PARAMETER)
        if self._streams[stream][1]:
            self._broken("destroy_stream with work on it", 0)
        context = self._streams[stream][0]
        if any(desc.context == context for desc in self._descs.values()):
            self._broken("destroy_stream before destroy_desc", 0)
        del self._streams[stream]
        return 0

    def _rt_synchronize_stream(self, stream: int) -> int:
        context = self._context("synchronize_stream")
        if not context:
            return NO_CONTEXT
        if stream not in self._streams or self._streams[stream][0] != context:
            return self._broken("synchronize_stream of another context", NO_CONTEXT)
        runs = self._streams[stream][1]
        for run in runs:
            pixels = bytes(self._memory[run.inputs[0]].data)
            found = run.model.run(pixels, run.count)
            self._memory[run.output].data[: len(found)] = found
        runs.clear()
        return INJECTED if self._contexts[context] in self.dead_chips else 0

    # -- memory

    def _allocate(self, size: int, on_device: bool) -> tuple[int, int]:
        context = self._context("malloc")
        if not context:
            return 0, NO_CONTEXT
        if size <= 0:
            return 0, self._broken("malloc of nothing", PARAMETER)
        used = sum(len(m.data) for m in self._memory.values() if m.on_device)
        if on_device and used + size > self._memory_limit:
            return 0, OUT_OF_MEMORY
        pointer = self._new()
        self._memory[pointer] = Memory(bytearray(size), on_device, context)
        return pointer, 0

    def _release(self, pointer: int, on_device: bool) -> int:
        memory = self._memory.get(pointer)
        if memory is None or memory.on_device != on_device:
            return self._broken("free of no such memory", PARAMETER)
        if any(of == pointer for of, _ in self._buffers.values()):
            self._broken("free under a data buffer", 0)
        if self._pending(pointer):
            self._broken("free under a running model", 0)
        del self._memory[pointer]
        return 0

    def _rt_malloc(self, size: int, policy: int) -> tuple[int, int]:
        assert policy in (0, 1, 2)
        return self._allocate(size, True)

    def _rt_free(self, pointer: int) -> int:
        return self._release(pointer, True)

    def _rt_malloc_host(self, size: int) -> tuple[int, int]:
        return self._allocate(size, False)

    def _rt_free_host(self, pointer: int) -> int:
        return self._release(pointer, False)

    def _rt_memcpy(self, target: int, most: int, source: int, size: int, kind: int) -> int:
        if not self._context("memcpy"):
            return NO_CONTEXT
        to, data = self._memory.get(target), self._source(source)
        if data is None:
            return self._broken("memcpy from what is no memory, or gone", PARAMETER)
        from_device = source in self._memory and self._memory[source].on_device
        if to is None or _COPIES.get(kind) != (from_device, to.on_device):
            return self._broken("memcpy between the wrong kinds of memory", PARAMETER)
        if size > most or most > len(to.data) or size > len(data):
            return self._broken("memcpy beyond the memory's end", PARAMETER)
        if self._pending(target):
            return self._broken("memcpy into what a model is reading", PARAMETER)
        to.data[:size] = data[:size]
        to.written = True
        return 0

    def _source(self, pointer: int) -> bytes | bytearray | None:
        if pointer in self._memory:
            return self._memory[pointer].data
        return next((e[1] for e in self._bytes if e[0] == pointer and _is_held(e)), None)

    def _pending(self, pointer: int) -> bool:
        runs = [run for _, runs in self._streams.values() for run in runs]
        return any(pointer in run.inputs or pointer == run.output for run in runs)

    def _bytes_to_ptr(self, data: bytes) -> int:
        assert isinstance(data, bytes)
        pointer = self._new()
        self._bytes.append((pointer, data))
        return pointer

    def _numpy_to_ptr(self, array: np.ndarray) -> int:
        assert isinstance(array.base, bytes)
        return self._bytes_to_ptr(array.base)

    def _ptr_to_bytes(self, pointer: int, size: int) -> bytes:
        memory = self._memory.get(pointer)
        if memory is None or memory.on_device or size > len(memory.data):
            self._broken("ptr_to_bytes of what is no host memory of that size", 0)
            return b""
        return bytes(memory.data[:size])

    def _ptr_to_numpy(self, pointer: int, shape: tuple[int], dtype: int) -> np.ndarray:
        assert dtype == np.dtype(np.uint8).num
        return np.frombuffer(self._ptr_to_bytes(pointer, shape[0]), np.uint8)


def _is_held(entry: tuple[int, bytes]) -> bool:
    """Whether anybody but the stand-in still has the bytes: their memory is gone otherwise."""
    forgotten = (0, bytes(len(entry[1]) or 1))
    return sys.getrefcount(entry[1]) > sys.getrefcount(forgotten[1])


_COPIES = {1: (False, True), 2: (True, False)}  # kind: from and to a device
_FAILURES = {
    "mdl.get_input_data_type": -1,
    "mdl.get_output_data_type": -1,
    "util.ptr_to_bytes": b"",
    "util.ptr_to_numpy": np.empty(0, np.uint8),
}
_UNCODED = {
    f"mdl.{name}"
    for name in ("create_desc", "get_num_inputs", "get_num_outputs", "get_input_size_by_index",
                 "get_output_size_by_index", "get_input_data_type", "get_output_data_type",
                 "create_dataset")
}  # fmt: skip
_VALUED = {
    *("rt.create_context", "rt.create_stream", "rt.malloc", "rt.malloc_host"),
    *("mdl.load_from_file", "mdl.get_input_dims", "mdl.get_output_dims"),
    *("mdl.get_input_index_by_name", "mdl.get_dynamic_batch", "mdl.add_dataset_buffer"),
}
