"""The Ascend backend against a stand-in that enforces pyACL's contract."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from acl_stand_in import AclStandIn
from compiling import Install, compile_bundle
from memory import resident_bytes

import refine_itr
from refine_itr.bundle import OM, DetectorConfig
from refine_itr.detection import Device, open_detectors, probe
from refine_itr.detection.ascend import AscendBackend, runtime
from refine_itr.detection.backend import GraphShape
from refine_itr.errors import DetectorError, DeviceError

GRID = DetectorConfig("grid", input_size=24, grid=2)
SHAPE = GraphShape(input_size=24, regions=4, features=6)


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    return [rng.integers(0, 256, (30, 40, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize("batch", ["1,2,4", "4", "1"])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 13])
def test_embeddings_equal_the_cpus(
    install: Install, bundle: Path, tmp_path: Path, batch: str, count: int
) -> None:
    acl = install()
    folder = compile_bundle(bundle, tmp_path / "compiled", batch)
    expected = refine_itr.load(bundle, device="cpu").embed_images(pictures(count))
    with refine_itr.load(folder, device="ascend:1") as model:
        assert model.detectors[0].backend.device == "ascend:1"
        assert model.detectors[0].backend.providers == ["pyACL"]
        np.testing.assert_allclose(model.embed_images(pictures(count)), expected, atol=1e-5)
    runtime.shut_down()
    acl.assert_clean()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 21])
def test_a_call_of_many_images_runs_in_parts(install: Install, compiled: Path, count: int) -> None:
    acl = install()
    images = np.random.default_rng(0).integers(0, 256, (count, 24, 24, 3), np.uint8)
    (on_cpu,) = open_detectors(compiled / "detector.onnx", GRID, features=6)
    backend = AscendBackend(compiled / OM, SHAPE, 0)
    assert backend.sizes == (1, 2, 4)
    np.testing.assert_allclose(backend.run(images), on_cpu.backend.run(images), atol=1e-5)
    backend.close()
    runtime.shut_down()
    acl.assert_clean()


def test_the_default_model(install: Install, tmp_path: Path) -> None:
    from refine_itr.bundle import bundle_folder

    acl = install()
    folder = compile_bundle(bundle_folder(), tmp_path / "compiled", "2,4")
    some = pictures(3)
    expected = refine_itr.load(device="cpu").embed_images(some)
    with refine_itr.load(folder, device="ascend:0") as model:
        np.testing.assert_allclose(model.embed_images(some), expected, atol=1e-5)
    runtime.shut_down()
    acl.assert_clean()


def test_chips_work_at_the_same_time(install: Install, compiled: Path, bundle: Path) -> None:
    acl = install()
    expected = refine_itr.load(bundle, device="cpu").embed_images(pictures(60))
    with refine_itr.load(compiled, device="ascend:0-3") as model:
        assert [d.backend.device for d in model.detectors] == [f"ascend:{i}" for i in range(4)]
        np.testing.assert_allclose(model.embed_images(pictures(60)), expected, atol=1e-5)
    runtime.shut_down()
    acl.assert_clean()


def test_one_chip_from_many_threads(install: Install, compiled: Path) -> None:
    acl = install()
    images = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), np.uint8)
    backend = AscendBackend(compiled / OM, SHAPE, 0)
    expected = backend.run(images)
    results: list[np.ndarray] = []

    def work() -> None:
        for _ in range(5):
            results.append(backend.run(images))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert all((result == expected).all() for result in results)
    threading.Thread(target=backend.close).start()
    backend.close()
    runtime.shut_down()
    acl.assert_clean()


def test_a_dead_chip_is_retired_and_nothing_is_lost(
    install: Install, compiled: Path, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = install()
    expected = refine_itr.load(bundle, device="cpu").embed_images(pictures(40))
    model = refine_itr.load(compiled, device="ascend:0,1")
    acl.dead_chips = {1}
    np.testing.assert_allclose(model.embed_images(pictures(40)), expected, atol=1e-5)
    acl.dead_chips = {0, 1}
    with pytest.raises(DeviceError, match=r"the last of 1 is lost: ascend: acl\.rt\.synchronize"):
        model.embed_images(pictures(40))
    assert "detect: worker" in caplog.text
    acl.dead_chips = set()
    model.close()
    runtime.shut_down()
    acl.assert_clean()


def test_a_thousand_times_open_run_close(install: Install, compiled: Path) -> None:
    acl = install()
    image = np.zeros((1, 24, 24, 3), np.uint8)

    def cycles(count: int) -> None:
        for _ in range(count):
            backend = AscendBackend(compiled / OM, SHAPE, 0)
            backend.run(image)
            backend.close()
            acl.calls.clear()
        gc.collect()

    cycles(200)
    before = resident_bytes()
    cycles(800)
    assert resident_bytes() - before < 16 << 20
    runtime.shut_down()
    acl.assert_clean()


def test_a_fault_at_every_call(install: Install, compiled: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 24, 24, 3), np.uint8)

    def session() -> None:
        backend = AscendBackend(compiled / OM, SHAPE, 0)
        try:
            backend.run(images)
        finally:
            backend.close()
            runtime.shut_down()

    acl = install()
    session()
    acl.assert_clean()
    total = len(acl.calls)
    assert total > 50
    for number in range(1, total + 1):
        acl = install(fail_at=number)
        try:
            session()
            failed = ""
        except DeviceError as exc:
            failed = str(exc)
            assert "500001" in failed
        assert failed or acl.calls[number - 1] == "finalize"  # at exit it is logged
        runtime.shut_down()
        acl.assert_clean()


def test_at_exit_what_is_open_is_closed_in_order(install: Install, compiled: Path) -> None:
    acl = install()
    backends = [AscendBackend(compiled / OM, SHAPE, chip) for chip in (0, 1, 1)]
    runtime.shut_down()
    acl.assert_clean()
    assert acl.calls[-1] == "finalize"
    with pytest.raises(DeviceError, match="expected an open device; it is closed"):
        backends[0].run(np.zeros((1, 24, 24, 3), np.uint8))


def test_somebody_else_has_initialised_acl(install: Install, compiled: Path) -> None:
    acl = install()
    assert acl.init() == 0
    (detector,) = open_detectors(
        compiled / "detector.onnx", GRID, features=6,
        devices=[Device("ascend", "0")],
    )  # fmt: skip
    assert probe(detector) > 0
    detector.close()
    runtime.shut_down()
    acl.assert_clean()


def test_no_acl(compiled: Path) -> None:
    with pytest.raises(DeviceError, match=r"expected the Python module 'acl'.*CANN"):
        refine_itr.load(compiled, device="ascend:0")


def test_no_om(install: Install, bundle: Path) -> None:
    install()
    with pytest.raises(DeviceError, match="refine-itr export-detector --target ascend"):
        refine_itr.load(bundle, device="ascend:0")


def test_no_such_chip(install: Install, compiled: Path) -> None:
    acl = install(chips=2)
    with pytest.raises(DeviceError, match=r"107001: there is no such device"):
        refine_itr.load(compiled, device="ascend:0-2")
    runtime.shut_down()
    acl.assert_clean()


def test_another_soc(install: Install, bundle: Path, tmp_path: Path) -> None:
    acl = install()
    folder = compile_bundle(bundle, tmp_path / "other", soc="Ascend910B")
    with pytest.raises(DeviceError, match=r"100012: the \.om does not fit this chip"):
        refine_itr.load(folder, device="ascend:0")
    runtime.shut_down()
    acl.assert_clean()


def test_a_damaged_om(install: Install, compiled: Path) -> None:
    acl = install()
    (compiled / OM).write_bytes(b"no model")
    with pytest.raises(DeviceError, match=r"100011: .*damaged \(EE1002: the file is no model\)"):
        refine_itr.load(compiled, device="ascend:0")
    runtime.shut_down()
    acl.assert_clean()


def test_out_of_memory(install: Install, compiled: Path) -> None:
    acl = install(memory=10_000)
    with pytest.raises(DeviceError, match=r"207001: out of memory on the chip: use smaller"):
        refine_itr.load(compiled, device="ascend:0")
    runtime.shut_down()
    acl.assert_clean()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (GraphShape(32, 4, 6), r"images: expected \(32, 32, 3\); got \(24, 24, 3\)"),
        (GraphShape(24, 4, 7), "values of regions: expected 28; got 24"),
    ],
)
def test_the_om_of_another_detector(
    install: Install, compiled: Path, shape: GraphShape, message: str
) -> None:
    acl = install()
    with pytest.raises(DetectorError, match=message):
        AscendBackend(compiled / OM, shape, 0)
    runtime.shut_down()
    acl.assert_clean()


# -- the stand-in itself: each breach of the contract is noticed


class Ready:
    """A chip as far as it goes without breaking anything."""

    def __init__(self, acl: AclStandIn, om: Path) -> None:
        self.acl = acl
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
        pointer = self.acl.util.bytes_to_ptr(bytes(100_000))
        code: int = self.acl.rt.memcpy(
            self.memory[0], self.sizes[0] if most is None else most, pointer, size, kind
        )
        return code

    def elsewhere(self, work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    def empty(self) -> int:
        dataset: int = self.acl.mdl.create_dataset()
        return dataset


BREACHES: dict[str, Callable[[Ready], object]] = {
    "execute_async without a context": lambda r: r.elsewhere(r.execute),
    "memcpy without a context": lambda r: r.elsewhere(lambda: r.copy(1)),
    "malloc without a context": lambda r: r.elsewhere(lambda: r.acl.rt.malloc(1, 0)),
    "set_context of no context": lambda r: r.acl.rt.set_context(1),
    "memcpy beyond the memory's end": lambda r: r.copy(r.sizes[0] + 1),
    "memcpy between the wrong kinds": lambda r: r.copy(1, kind=2),
    "memcpy into what a model is reading": lambda r: (r.execute(), r.copy(1)),
    "create_data_buffer beyond": lambda r: r.acl.create_data_buffer(r.memory[0], 1 << 20),
    "incomplete dataset": lambda r: r.acl.mdl.execute_async(
        r.model, r.empty(), r.outputs, r.stream
    ),
    "of no gear": lambda r: r.acl.mdl.set_dynamic_batch_size(r.model, r.inputs, 1, 3),
    "of another input": lambda r: r.acl.mdl.set_dynamic_batch_size(r.model, r.inputs, 0, 2),
    "unload with a dataset alive": lambda r: r.acl.mdl.unload(r.model),
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
