"""The stand-in for pyACL: each breach of the contract is noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from acl_stand_in import AclStandIn

from refine_itr.bundle import OM


class Ready:
    """A chip as far as it goes without breaking anything."""

    def __init__(self, acl: AclStandIn, om: Path) -> None:
        self.acl, self.om = acl, om
        acl.init()
        acl.rt.set_device(0)
        self.context, _ = acl.rt.create_context(0)
        self.stream, _ = acl.rt.create_stream()
        self.desc = acl.mdl.create_desc()
        self.model, _ = acl.mdl.load_from_file(str(om))
        acl.mdl.get_desc(self.desc, self.model)
        self.sizes = [acl.mdl.get_input_size_by_index(self.desc, i) for i in range(2)]
        self.memory = [acl.rt.malloc(size, 0)[0] for size in self.sizes]
        self.out_size = acl.mdl.get_output_size_by_index(self.desc, 0)
        self.out, _ = acl.rt.malloc(self.out_size, 0)
        self.inputs, self.outputs = acl.mdl.create_dataset(), acl.mdl.create_dataset()
        self.buffers = [
            acl.create_data_buffer(p, s) for p, s in zip(self.memory, self.sizes, strict=True)
        ]
        for buffer in self.buffers:
            acl.mdl.add_dataset_buffer(self.inputs, buffer)
        self.out_buffer = acl.create_data_buffer(self.out, self.out_size)
        acl.mdl.add_dataset_buffer(self.outputs, self.out_buffer)
        acl.mdl.set_dynamic_batch_size(self.model, self.inputs, 1, 2)
        assert acl.violations == []

    def execute(self) -> int:
        code: int = self.acl.mdl.execute_async(self.model, self.inputs, self.outputs, self.stream)
        return code

    def copy(self, size: int, most: int | None = None, kind: int = 1) -> int:
        data = bytes(100_000)
        pointer = self.acl.util.bytes_to_ptr(data)
        code: int = self.acl.rt.memcpy(
            self.memory[0], self.sizes[0] if most is None else most, pointer, size, kind
        )
        return code

    def copy_to(self, target: int, size: int) -> int:
        data = bytes(size)
        code: int = self.acl.rt.memcpy(target, size, self.acl.util.bytes_to_ptr(data), size, 1)
        return code

    def copy_what_is_gone(self) -> int:
        pointer = self.acl.util.bytes_to_ptr(bytes(10))
        code: int = self.acl.rt.memcpy(self.memory[0], self.sizes[0], pointer, 10, 1)
        return code

    def small_output(self) -> int:
        small = self.empty()
        self.acl.mdl.add_dataset_buffer(small, self.acl.create_data_buffer(self.out, 4))
        code: int = self.acl.mdl.execute_async(self.model, self.inputs, small, self.stream)
        return code

    def release_datasets(self) -> None:
        for buffer in (*self.buffers, self.out_buffer):
            self.acl.destroy_data_buffer(buffer)
        for dataset in (self.inputs, self.outputs):
            self.acl.mdl.destroy_dataset(dataset)

    def release_memory(self) -> None:
        for pointer in (*self.memory, self.out):
            self.acl.rt.free(pointer)

    def elsewhere(self, work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    def empty(self) -> int:
        dataset: int = self.acl.mdl.create_dataset()
        return dataset


BREACHES: dict[str, Callable[[Ready], object]] = {
    "execute_async without a context": lambda r: r.elsewhere(r.execute),
    "synchronize_stream without a context": lambda r: r.elsewhere(
        lambda: r.acl.rt.synchronize_stream(r.stream)
    ),
    "create_stream without a context": lambda r: r.elsewhere(r.acl.rt.create_stream),
    "load_from_file without a context": lambda r: r.elsewhere(
        lambda: r.acl.mdl.load_from_file(str(r.om))
    ),
    "execute_async on another context's stream": lambda r: (
        r.acl.rt.create_context(0),
        r.execute(),
    ),
    "synchronize_stream of another context": lambda r: (
        r.acl.rt.create_context(0),
        r.acl.rt.synchronize_stream(r.stream),
    ),
    "execute_async with a small output": Ready.small_output,
    "execute_async with a written batch input": lambda r: (
        r.copy_to(r.memory[1], r.sizes[1]),
        r.execute(),
    ),
    "memcpy without a context": lambda r: r.elsewhere(lambda: r.copy(1)),
    "malloc without a context": lambda r: r.elsewhere(lambda: r.acl.rt.malloc(1, 0)),
    "set_context of no context": lambda r: r.acl.rt.set_context(1),
    "memcpy beyond the memory's end": lambda r: r.copy(r.sizes[0] + 1),
    "memcpy between the wrong kinds": lambda r: r.copy(1, kind=2),
    "memcpy between the wrong kinds of memory": lambda r: r.copy_to(r.acl.rt.malloc_host(8)[0], 8),
    "memcpy from what is no memory, or gone": Ready.copy_what_is_gone,
    "memcpy into what a model is reading": lambda r: (r.execute(), r.copy(1)),
    "create_data_buffer beyond": lambda r: r.acl.create_data_buffer(r.memory[0], 1 << 20),
    "incomplete dataset": lambda r: r.acl.mdl.execute_async(
        r.model, r.empty(), r.outputs, r.stream
    ),
    "of no gear": lambda r: r.acl.mdl.set_dynamic_batch_size(r.model, r.inputs, 1, 3),
    "of another input": lambda r: r.acl.mdl.set_dynamic_batch_size(r.model, r.inputs, 0, 2),
    "unload with a dataset alive": lambda r: r.acl.mdl.unload(r.model),
    "unload before the memory is free": lambda r: (
        r.release_datasets(),
        r.acl.mdl.unload(r.model),
    ),
    "destroy_stream before destroy_desc": lambda r: r.acl.rt.destroy_stream(r.stream),
    "destroy_context with a model alive": lambda r: r.acl.rt.destroy_context(r.context),
    "destroy_context with memory alive": lambda r: r.acl.rt.destroy_context(r.context),
    "destroy_desc before unload": lambda r: r.acl.mdl.destroy_desc(r.desc),
    "destroy_dataset with a buffer alive": lambda r: r.acl.mdl.destroy_dataset(r.inputs),
    "free under a data buffer": lambda r: r.acl.rt.free(r.out),
    "free under a running model": lambda r: (r.execute(), r.acl.rt.free(r.out)),
    "free of no such memory": lambda r: r.acl.rt.free(17),
    "destroy_stream with work on it": lambda r: (r.execute(), r.acl.rt.destroy_stream(r.stream)),
    "destroy_context with a stream": lambda r: r.acl.rt.destroy_context(r.context),
    "reset_device with a context": lambda r: r.acl.rt.reset_device(0),
    "finalize with a device": lambda r: r.acl.finalize(),
    "destroy_data_buffer of no buffer": lambda r: (
        r.acl.destroy_data_buffer(r.out_buffer),
        r.acl.destroy_data_buffer(r.out_buffer),
    ),
    "create_context before set_device": lambda r: r.acl.rt.create_context(1),
    "ptr_to_bytes of what is no host": lambda r: r.acl.util.ptr_to_bytes(r.out, 4),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_the_stand_in_notices(compiled: Path, breach: str) -> None:
    ready = Ready(AclStandIn(), compiled / OM)
    BREACHES[breach](ready)
    assert any(breach in violation for violation in ready.acl.violations), ready.acl.violations
    with pytest.raises(AssertionError):
        ready.acl.assert_clean()


def test_what_is_given_back_in_order_breaks_nothing(compiled: Path) -> None:
    ready = Ready(AclStandIn(), compiled / OM)
    acl = ready.acl
    ready.copy(10)
    ready.execute()
    acl.rt.synchronize_stream(ready.stream)
    ready.release_datasets()
    ready.release_memory()
    acl.mdl.unload(ready.model)
    acl.mdl.destroy_desc(ready.desc)
    acl.rt.destroy_stream(ready.stream)
    acl.rt.destroy_context(ready.context)
    acl.rt.reset_device(0)
    acl.finalize()
    acl.assert_clean()


def test_the_stand_in_wants_a_gear_first(compiled: Path) -> None:
    ready = Ready(AclStandIn(), compiled / OM)
    bare = ready.empty()
    for buffer in ready.buffers:
        ready.acl.mdl.add_dataset_buffer(bare, buffer)
    assert ready.acl.mdl.execute_async(ready.model, bare, ready.outputs, ready.stream) == 145013
    assert ready.acl.violations == ["execute_async before set_dynamic_batch_size"]


def test_the_stand_in_computes_at_synchronisation(compiled: Path) -> None:
    ready = Ready(AclStandIn(), compiled / OM)
    host, _ = ready.acl.rt.malloc_host(ready.out_size)
    ready.copy(10)
    ready.execute()
    ready.acl.rt.memcpy(host, ready.out_size, ready.out, ready.out_size, 2)
    early = ready.acl.util.ptr_to_bytes(host, 4)
    ready.acl.rt.synchronize_stream(ready.stream)
    ready.acl.rt.memcpy(host, ready.out_size, ready.out, ready.out_size, 2)
    assert early == b"\xab" * 4 != ready.acl.util.ptr_to_bytes(host, 4)


def test_the_stand_in_notices_what_is_left(compiled: Path) -> None:
    ready = Ready(AclStandIn(), compiled / OM)
    with pytest.raises(AssertionError, match="_streams"):
        ready.acl.assert_clean()
    assert ready.acl.init() == 100002
    assert AclStandIn().rt.set_device(0) == 100003
