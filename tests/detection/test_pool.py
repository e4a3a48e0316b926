"""Several devices of one model: a lost one is remembered, and all are given back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import Install

import refine_itr
from refine_itr.detection import DetectorPool
from refine_itr.detection.ascend import runtime
from refine_itr.errors import DeviceError, NoDeviceLeftError
from refine_itr.planning import BatchTime, Goal, Profile, make_plan
from refine_itr.profiling import profile_model, sample_pictures
from refine_itr.types import Picture, Regions

PICTURE = np.full((30, 40, 3), 99, np.uint8)


class Chip:
    """Finds a picture's first pixel; takes no more than ``most`` pictures at once."""

    sizes = ()
    picture_size = (2, 2)

    def __init__(self, most: int) -> None:
        self.most = most
        self.batches: list[int] = []
        self.closed = False

    def detect(self, pictures: Sequence[Picture]) -> Regions:
        self.batches.append(len(pictures))
        if len(pictures) > self.most:
            raise DeviceError("out of memory")
        first = np.array([p.pixels[0, 0, 0] for p in pictures], np.float32)
        return Regions(first.reshape(-1, 1, 1), np.zeros((len(pictures), 1, 4), np.float32))

    def close(self) -> None:
        self.closed = True
        if not self.most:
            raise DeviceError("does not answer")


def pool_of(*chips: Any) -> DetectorPool:
    return DetectorPool(list(chips))


def pictures(count: int) -> list[Picture]:
    return [Picture(np.full((2, 2, 3), i, np.uint8), 2, 2) for i in range(count)]


def test_a_batch_that_is_too_large_loses_no_device() -> None:
    chip = Chip(most=3)
    pool = pool_of(chip)
    (member,) = pool.working()
    found = member.detect(pictures(10))
    assert found.features.ravel().tolist() == list(range(10))
    assert found.boxes.shape == (10, 1, 4)
    assert chip.batches == [10, 5, 2, 3, 5, 2, 3]
    assert pool.working() == [member]


def test_what_cannot_run_one_picture_is_lost() -> None:
    dead, alive = Chip(most=0), Chip(most=9)
    pool = pool_of(dead, alive)
    with pytest.raises(DeviceError, match="out of memory"):
        pool.working()[0].detect(pictures(4))
    assert dead.batches == [4, 2, 1]
    assert len(pool.working()) == 1
    pool.detect(pictures(1))
    assert dead.batches == [4, 2, 1]


def test_all_are_closed_though_one_fails_to_be() -> None:
    chips = [Chip(0), Chip(1), Chip(0), Chip(1)]
    with pytest.raises(DeviceError, match="does not answer"):
        pool_of(*chips).close()
    assert all(chip.closed for chip in chips)


def test_a_single_picture_goes_to_a_chip_that_works(
    install: Install, compiled: Path, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = install()
    expected = refine_itr.load(bundle, device="cpu").embed_images([PICTURE])
    with refine_itr.load(compiled, device="ascend:0,1") as model:
        acl.dead_chips = {0}
        for _ in range(3):
            np.testing.assert_allclose(model.embed_images([PICTURE]), expected, atol=1e-5)
        assert caplog.text.count("a device is lost") == 1
        assert len(model.embed_images([PICTURE] * 5)) == 5
        assert caplog.text.count(" lost") == 1  # nor is it asked by a pipeline
        acl.dead_chips = {0, 1}
        for count in (1, 1, 5):
            with pytest.raises(NoDeviceLeftError, match=r"the last of 2 is lost: ascend: acl\.rt"):
                model.embed_images([PICTURE] * count)
    runtime.shut_down()
    acl.assert_clean()


def test_a_profile_has_the_chips_and_the_cpu_and_a_plan_chooses(
    install: Install, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acl = install()
    monkeypatch.setattr("refine_itr.profiling._SECONDS", 0.01)
    profile = profile_model(compiled, sample_pictures(None)[:2], device="ascend:0-2", threads=1)
    chips, cpu = profile.stages["detect"]
    assert (chips.device, chips.max_workers, chips.threads) == ("ascend:0,1,2", 3, 0)
    assert chips.sizes == (1, 2, 4)
    assert (cpu.device, cpu.max_workers, cpu.threads) == ("cpu", 1, 1)
    for slower, workers in ((cpu, 3), (chips, 1)):
        faster = chips if slower is cpu else cpu
        ways = (faster, replace(slower, time=BatchTime(10.0, 10.0)))
        stages = {**profile.stages, "detect": ways}
        plan = make_plan(Profile(profile.cores, stages), Goal("max-throughput"))
        assert plan.stage("detect").device == faster.device
        with refine_itr.load(compiled, plan=plan) as model:
            assert len(model.detectors) == workers
    runtime.shut_down()
    acl.assert_clean()


def test_a_failure_before_the_devices_leaves_none_open(
    install: Install, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acl = install()

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("refine_itr.encoding.TextEncoder", fail)
    with pytest.raises(MemoryError):
        refine_itr.load(compiled, device="ascend:0,1")
    runtime.shut_down()
    acl.assert_clean()


def test_without_a_plan_batches_are_the_sizes_of_the_chip(install: Install, compiled: Path) -> None:
    install()
    with refine_itr.load(compiled, device="ascend:0") as model:
        assert model.plan.stage("detect").sizes == (1, 2, 4)
