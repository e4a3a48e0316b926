"""The Ascend backend against a stand-in that enforces pyACL's contract."""

from __future__ import annotations

import gc
import re
import threading
from pathlib import Path

import numpy as np
import pytest
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


WITHOUT_A_CODE = {
    *("create_desc", "create_dataset", "create_data_buffer", "get_num_inputs", "get_num_outputs"),
    *("get_input_size_by_index", "get_output_size_by_index"),
    *("get_input_data_type", "get_output_data_type"),
    *("bytes_to_ptr", "ptr_to_bytes", "numpy_to_ptr", "ptr_to_numpy"),
}


@pytest.mark.parametrize("old", [False, True])
def test_a_fault_at_every_call(install: Install, compiled: Path, old: bool) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 24, 24, 3), np.uint8)

    def session() -> None:
        backend = AscendBackend(compiled / OM, SHAPE, 0)
        try:
            backend.run(images)
        finally:
            backend.close()
            runtime.shut_down()

    acl = install(old=old)
    session()
    acl.assert_clean()
    assert WITHOUT_A_CODE & {name.split(".")[-1] for name in acl.calls} >= WITHOUT_A_CODE - (
        {"bytes_to_ptr", "ptr_to_bytes"} if old else {"numpy_to_ptr", "ptr_to_numpy"}
    )
    total = len(acl.calls)
    assert total > 50
    for number in range(1, total + 1):
        acl = install(fail_at=number, old=old)
        try:
            session()
            failed = ""
        except DetectorError as exc:
            failed = str(exc)
        name = acl.calls[number - 1]
        if name == "finalize":  # at exit it is logged
            assert not failed
        elif name.split(".")[-1] in WITHOUT_A_CODE:
            assert re.search("returned nothing|expected .*; got", failed), (name, failed)
        else:
            assert f"acl.{name} failed with 500001" in failed
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


@pytest.mark.parametrize(
    ("call", "code", "hint"),
    [
        ("rt.set_device", 207004, "there is no device: `npu-smi info` lists them"),
        ("rt.malloc", 200000, "out of memory on the chip: use smaller batches"),
        ("mdl.load_from_file", 100013, "does not fit this chip or this CANN: compile it again"),
        ("mdl.execute_async", 507899, "an internal error of CANN"),
    ],
)
def test_codes_become_advice(
    install: Install, compiled: Path, call: str, code: int, hint: str
) -> None:
    image = np.zeros((1, 24, 24, 3), np.uint8)

    def session() -> None:
        backend = AscendBackend(compiled / OM, SHAPE, 0)
        try:
            backend.run(image)
        finally:
            backend.close()

    acl = install()
    session()
    acl = install(fail_at=acl.calls.index(call) + 1, code=code)
    with pytest.raises(DeviceError, match=f"{call} failed with {code}: .*{hint}"):
        session()
    runtime.shut_down()
    acl.assert_clean()


def test_an_older_cann(install: Install, compiled: Path) -> None:
    acl = install(old=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), np.uint8)
    (on_cpu,) = open_detectors(compiled / "detector.onnx", GRID, features=6)
    backend = AscendBackend(compiled / OM, SHAPE, 0)
    np.testing.assert_allclose(backend.run(images), on_cpu.backend.run(images), atol=1e-5)
    backend.close()
    runtime.shut_down()
    acl.assert_clean()


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
    assert "finalize" not in acl.calls  # that is for who initialised it


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
