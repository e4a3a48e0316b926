"""Memory for one batch on its way: input and output on the chip, the output's copy on the host."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import numpy.typing as npt

from refine_itr.detection.ascend.calls import Acl
from refine_itr.detection.ascend.graph import ModelInfo

_HUGE_FIRST = 0  # acl.rt.malloc: huge pages if there are any
_TO_DEVICE, _TO_HOST = 1, 2  # acl.rt.memcpy


class Slot:
    """Buffers for the largest gear, and the datasets that hand them to the model.

    Args:
        acl: pyACL.
        info: The model's sizes.
        taken: Gets what gives everything back.
    """

    def __init__(self, acl: Acl, info: ModelInfo, taken: ExitStack) -> None:
        self._acl = acl
        self._info = info
        self._count = 0
        self._gear = info.gears[0]
        inputs = [self._memory(taken, size) for size in info.input_bytes]
        self._images = inputs[0]
        self._regions = self._memory(taken, info.output_bytes)
        self._host = acl.call("rt.malloc_host", info.output_bytes)
        taken.callback(acl.call, "rt.free_host", self._host)
        self._inputs = self._dataset(taken, inputs, info.input_bytes)
        self._outputs = self._dataset(taken, [self._regions], (info.output_bytes,))

    def copy_in(self, images: npt.NDArray[np.uint8]) -> None:
        """Copies images uint8 (n, S, S, 3) to the chip, n at most the largest gear.

        What the gear has more than n keeps what was there before: its results are not read.
        """
        self._count = len(images)
        self._gear = next(gear for gear in self._info.gears if gear >= self._count)
        data = images.tobytes()
        pointer = self._acl.pointer_to(data)
        self._acl.call(
            "rt.memcpy", self._images, self._info.input_bytes[0], pointer, len(data), _TO_DEVICE
        )

    def execute(self, model: int, stream: int) -> None:
        """Puts the model's run onto the stream; it has ended when the stream is synchronised."""
        if self._info.batch_input is not None:
            self._acl.call(
                "mdl.set_dynamic_batch_size",
                model,
                self._inputs,
                self._info.batch_input,
                self._gear,
            )
        self._acl.call("mdl.execute_async", model, self._inputs, self._outputs, stream)

    def copy_out(self) -> bytes:
        """Returns the regions of the images that were copied in, as bytes."""
        size = self._count * self._info.result_bytes
        self._acl.call(
            "rt.memcpy", self._host, self._info.output_bytes, self._regions, size, _TO_HOST
        )
        return self._acl.bytes_at(self._host, size)

    def _memory(self, taken: ExitStack, size: int) -> int:
        pointer: int = self._acl.call("rt.malloc", size, _HUGE_FIRST)
        taken.callback(self._acl.call, "rt.free", pointer)
        return pointer

    def _dataset(self, taken: ExitStack, pointers: list[int], sizes: tuple[int, ...]) -> int:
        # Released in reverse: the dataset after the buffers in it.
        dataset: int = self._acl.made("mdl.create_dataset")
        taken.callback(self._acl.call, "mdl.destroy_dataset", dataset)
        for pointer, size in zip(pointers, sizes, strict=True):
            buffer = self._acl.made("create_data_buffer", pointer, size)
            taken.callback(self._acl.call, "destroy_data_buffer", buffer)
            self._acl.call("mdl.add_dataset_buffer", dataset, buffer)
        return dataset
