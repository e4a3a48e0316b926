"""One detector on one Ascend chip."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_itr.detection.ascend.graph import read_info
from refine_itr.detection.ascend.runtime import acquire_device, close_at_exit, release_device
from refine_itr.detection.ascend.slot import Slot
from refine_itr.detection.backend import GraphShape
from refine_itr.errors import DeviceError
from refine_itr.types import FloatArray

_EXPORT = "refine-itr export-detector --target ascend --soc YOUR_CHIP --out FOLDER"


class AscendBackend:
    """A compiled model (.om) on one chip, with its own context and stream.

    Everything is allocated once. A call of more images than the largest gear runs in parts:
    while the chip works on one, the next one is copied to it and the last one's results back.
    Calls from several threads take turns.

    Args:
        path: The .om file.
        shape: What the model must take and give.
        device: The chip's number.

    Raises:
        DetectorError: The model is another one.
        DeviceError: There is no .om, no pyACL, no such chip, or a call of pyACL failed. What had
            been taken is given back.
    """

    def __init__(self, path: Path, shape: GraphShape, device: int) -> None:
        self.device = f"ascend:{device}"
        self.providers = ["pyACL"]
        self._shape = shape
        self._lock = threading.Lock()
        if not path.is_file():
            raise DeviceError(f"{path}: expected a model compiled for the chip; make it: {_EXPORT}")
        # What is taken goes back in reverse: datasets and their buffers, memory, model,
        # description, stream, context, device.
        with ExitStack() as taken:
            self._acl = acl = acquire_device(device)
            taken.callback(release_device, device)
            self._context = self._own(taken, "rt.create_context", "rt.destroy_context", device)
            self._stream = self._own(taken, "rt.create_stream", "rt.destroy_stream")
            desc = acl.made("mdl.create_desc")
            taken.callback(acl.call, "mdl.destroy_desc", desc)
            self._model = self._own(taken, "mdl.load_from_file", "mdl.unload", str(path))
            acl.call("mdl.get_desc", desc, self._model)
            self._info = info = read_info(acl, desc, path, shape)
            self._slots = [Slot(acl, info, taken) for _ in range(2)]
            self._taken = taken.pop_all()
        self._closed = False
        close_at_exit(self)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The gears: batch sizes that the model was compiled for."""
        return self._info.gears

    def run(self, images: npt.NDArray[np.uint8]) -> FloatArray:
        """Returns float32 (n, K, C) of images uint8 (n, S, S, 3)."""
        with self._lock:
            if self._closed:
                raise DeviceError(f"{self.device}: expected an open device; it is closed")
            self._enter()
            try:
                parts = self._run_parts(images)
            except DeviceError:
                # Nothing may be released, or written, under a batch that is still on the chip.
                self._acl.raw("rt.synchronize_stream", self._stream)
                raise
        features = np.frombuffer(b"".join(parts), np.float32)
        return features.reshape(len(images), self._shape.regions, self._shape.features)

    def close(self) -> None:
        """Gives everything back, in order; any number of times, from any thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._enter()
            finally:
                self._taken.close()

    def _run_parts(self, images: npt.NDArray[np.uint8]) -> list[bytes]:
        most = self._info.gears[-1]
        parts = [images[first : first + most] for first in range(0, len(images), most)]
        results: list[bytes] = []
        for number, part in enumerate(parts):
            slot = self._slots[number % 2]
            slot.copy_in(part)  # while the chip works on the part before
            if number:
                self._acl.call("rt.synchronize_stream", self._stream)
            slot.execute(self._model, self._stream)
            if number:
                results.append(self._slots[1 - number % 2].copy_out())  # likewise
        self._acl.call("rt.synchronize_stream", self._stream)
        results.append(self._slots[(len(parts) - 1) % 2].copy_out())
        return results

    def _enter(self) -> None:
        """A context belongs to a thread until another one takes it."""
        self._acl.call("rt.set_context", self._context)

    def _own(self, taken: ExitStack, make: str, release: str, *arguments: Any) -> Any:
        handle = self._acl.call(make, *arguments)
        undo: Callable[..., Any] = self._acl.call
        taken.callback(undo, release, handle)
        return handle
