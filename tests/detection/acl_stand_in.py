"""A stand-in for Ascend's module ``acl`` that holds its users to the documented contract.

Breaking it is recorded in ``violations`` and answered with the documented code. Models are made
by ``compile_om`` from what ``export-detector`` wrote, and really computed, by ONNX Runtime, when
the stream is synchronised and not before.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from acl_runtime_stand_in import (
    BAD_GEAR,
    NO_CONTEXT,
    PARAMETER,
    UNFIT,
    UNREADABLE,
    AclRuntime,
    Dataset,
    Desc,
    Run,
)
from om_stand_in import DYNAMIC, SOC, OmModel


class AclStandIn(AclRuntime):
    """The module. ``install`` it in ``sys.modules`` as "acl"; settings are those of the runtime."""

    def __init__(self, **settings: int) -> None:
        super().__init__(**settings)
        self.mdl = self._group("mdl")
        self.create_data_buffer = self._uncoded("create_data_buffer", self._create_data_buffer)
        self.destroy_data_buffer = self._coded("destroy_data_buffer", self._destroy_data_buffer)

    def _mdl_load_from_file(self, path: str) -> tuple[int, int]:
        context = self._context("load_from_file")
        if not context:
            return 0, NO_CONTEXT
        try:
            model = OmModel(Path(path).read_bytes())
        except (OSError, zipfile.BadZipFile, KeyError):
            self._thread.message = "EE1002: the file is no model"
            return 0, UNREADABLE
        if model.about["soc"] != SOC:
            return 0, UNFIT
        handle = self._new()
        self._models[handle] = (model, context)
        return handle, 0

    def _mdl_unload(self, handle: int) -> int:
        if handle not in self._models:
            return self._broken("unload of no model", PARAMETER)
        context = self._models[handle][1]
        if any(d.context == context for d in self._datasets.values()):
            self._broken("unload with a dataset alive", 0)
        if any(m.context == context and m.on_device for m in self._memory.values()):
            self._broken("unload before the memory is free", 0)
        del self._models[handle]
        return 0

    def _mdl_create_desc(self) -> int:
        handle = self._new()
        self._descs[handle] = Desc(getattr(self._thread, "context", 0))
        return handle

    def _mdl_get_desc(self, desc: int, model: int) -> int:
        if desc not in self._descs or model not in self._models:
            return self._broken("get_desc of no description or model", PARAMETER)
        self._descs[desc].model = model
        return 0

    def _mdl_destroy_desc(self, desc: int) -> int:
        if desc not in self._descs:
            return self._broken("destroy_desc of no description", PARAMETER)
        if self._descs[desc].model in self._models:
            self._broken("destroy_desc before unload", 0)
        del self._descs[desc]
        return 0

    def _described(self, desc: int) -> OmModel:
        model = self._descs[desc].model
        assert model is not None
        return self._models[model][0]

    def _mdl_get_num_inputs(self, desc: int) -> int:
        return len(self._described(desc).input_bytes)

    def _mdl_get_num_outputs(self, desc: int) -> int:
        return 1 if self._described(desc) else 0

    def _mdl_get_input_size_by_index(self, desc: int, index: int) -> int:
        return self._described(desc).input_bytes[index]

    def _mdl_get_output_size_by_index(self, desc: int, index: int) -> int:
        assert index == 0
        return self._described(desc).output_bytes

    def _mdl_get_input_data_type(self, desc: int, index: int) -> int:
        return 4 if index == 0 and self._described(desc) else 3

    def _mdl_get_output_data_type(self, desc: int, index: int) -> int:
        return 0 if index == 0 and self._described(desc) else -1

    def _mdl_get_input_dims(self, desc: int, index: int) -> tuple[dict[str, Any], int]:
        model = self._described(desc)
        assert index == 0
        # AIPP takes pixels as rows of RGB, whatever the graph behind it takes.
        dims = [model.about["dims"][0], model.size, model.size, 3]
        return {"name": model.input_names[0], "dimCount": 4, "dims": dims}, 0

    def _mdl_get_output_dims(self, desc: int, index: int) -> tuple[dict[str, Any], int]:
        assert index == 0
        model = self._described(desc)
        return {"name": "regions", "dimCount": 3, "dims": [model.gears[-1], *model.regions]}, 0

    def _mdl_get_input_index_by_name(self, desc: int, name: str) -> tuple[int, int]:
        names = self._described(desc).input_names
        return (names.index(name), 0) if name in names else (0, PARAMETER)

    def _mdl_get_dynamic_batch(self, desc: int) -> tuple[dict[str, Any], int]:
        gears = self._described(desc).about["gears"]
        return {"batchCount": len(gears), "batch": gears[::-1]}, 0

    def _mdl_set_dynamic_batch_size(self, model: int, dataset: int, index: int, batch: int) -> int:
        known = self._models[model][0]
        if known.input_names[index] != DYNAMIC:
            return self._broken("set_dynamic_batch_size of another input", PARAMETER)
        if batch not in known.gears:
            return self._broken("set_dynamic_batch_size of no gear", BAD_GEAR)
        self._datasets[dataset].gear = batch
        return 0

    def _mdl_create_dataset(self) -> int:
        handle = self._new()
        self._datasets[handle] = Dataset(getattr(self._thread, "context", 0))
        return handle

    def _create_data_buffer(self, pointer: int, size: int) -> int:
        if pointer not in self._memory or size > len(self._memory[pointer].data):
            self._broken("create_data_buffer beyond the memory", 0)
            return 0
        handle = self._new()
        self._buffers[handle] = (pointer, size)
        return handle

    def _mdl_add_dataset_buffer(self, dataset: int, buffer: int) -> tuple[int, int]:
        if dataset not in self._datasets or buffer not in self._buffers:
            return dataset, self._broken("add_dataset_buffer of no dataset or buffer", PARAMETER)
        self._datasets[dataset].buffers.append(buffer)
        return dataset, 0

    def _destroy_data_buffer(self, buffer: int) -> int:
        if buffer not in self._buffers:
            return self._broken("destroy_data_buffer of no buffer", PARAMETER)
        del self._buffers[buffer]
        return 0

    def _mdl_destroy_dataset(self, dataset: int) -> int:
        if dataset not in self._datasets:
            return self._broken("destroy_dataset of no dataset", PARAMETER)
        if any(buffer in self._buffers for buffer in self._datasets[dataset].buffers):
            self._broken("destroy_dataset with a buffer alive", 0)
        del self._datasets[dataset]
        return 0

    def _mdl_execute_async(self, model: int, inputs: int, outputs: int, stream: int) -> int:
        context = self._context("execute_async")
        if not context:
            return NO_CONTEXT
        if model not in self._models or stream not in self._streams:
            return self._broken("execute_async of no model or stream", PARAMETER)
        if self._streams[stream][0] != context:
            return self._broken("execute_async on another context's stream", NO_CONTEXT)
        known = self._models[model][0]
        given = [self._buffers.get(b, (0, 0)) for b in self._datasets[inputs].buffers]
        taken = [self._buffers.get(b, (0, 0)) for b in self._datasets[outputs].buffers]
        if [size for _, size in given] != known.input_bytes or len(taken) != 1:
            return self._broken("execute_async with an incomplete dataset", PARAMETER)
        if taken[0][1] < known.output_bytes:
            return self._broken("execute_async with a small output", PARAMETER)
        gear = self._datasets[inputs].gear
        if known.about["gears"] and gear is None:
            return self._broken("execute_async before set_dynamic_batch_size", BAD_GEAR)
        # set_dynamic_batch_size fills it: what anybody else writes there would be taken for sizes.
        if any(self._memory[pointer].written for pointer, _ in given[1:]):
            self._broken("execute_async with a written batch input", 0)
        output = self._memory[taken[0][0]]
        output.data[:] = b"\xab" * len(output.data)  # nobody may read it before it is there
        count = gear or known.gears[0]
        run = Run(known, [pointer for pointer, _ in given], taken[0][0], count)
        self._streams[stream][1].append(run)
        return 0
