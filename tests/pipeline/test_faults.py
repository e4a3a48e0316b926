"""Whatever goes wrong, every item is accounted for exactly once."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from helpers import PATIENCE, Gate, pipeline_threads, same, watchdog
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import resident_bytes

from refine_itr.errors import DeviceError, NoDeviceLeftError, PipelineError
from refine_itr.pipeline import Pipeline, Stage

SOAK_ITEMS = int(os.environ.get("REFINE_ITR_SOAK_ITEMS", "100000"))


@pytest.fixture(autouse=True)
def _guarded() -> Iterator[None]:
    with watchdog():
        yield
    assert pipeline_threads("a", "b", "c", "d") == []


def test_a_result_that_is_an_error_fails_alone() -> None:
    def picky(items: list[int]) -> list[Any]:
        return [ValueError(item) if item % 3 == 0 else item for item in items]

    with Pipeline([Stage("a", [picky], cap=4), Stage("b", [same], cap=4)]) as pipeline:
        outcomes = list(pipeline.run(range(30)))
        stats = {s.name: s for s in pipeline.stats()}
    assert [o.index for o in outcomes if o.error] == list(range(0, 30, 3))
    assert all(isinstance(o.error, ValueError) for o in outcomes if o.error)
    assert stats["a"].failed == 10
    assert stats["b"].items == 20


def test_a_poisonous_item_fails_alone() -> None:
    gate = Gate()
    tried: list[list[int]] = []

    def poisoned(items: list[int]) -> list[int]:
        tried.append(items)
        if 2 in items:
            raise RuntimeError("two")
        return items

    with Pipeline([Stage("a", [gate], cap=9, queue=9), Stage("b", [poisoned], cap=9)]) as pipeline:
        first = pipeline.submit(0)
        gate.wait()
        futures = [pipeline.submit(i) for i in (1, 2, 3)]
        gate.open()
        assert first.result(timeout=PATIENCE) == 0
        gate.open()
        assert futures[0].result(timeout=PATIENCE) == 1
        with pytest.raises(RuntimeError, match="two"):
            futures[1].result(timeout=PATIENCE)
        assert futures[2].result(timeout=PATIENCE) == 3
    assert tried[1:] == [[1, 2, 3], [1], [2], [3]]


def test_a_wrong_number_of_results_is_told() -> None:
    with Pipeline([Stage("a", [lambda items: []])]) as pipeline:
        (outcome,) = pipeline.run([1])
    assert isinstance(outcome.error, PipelineError)
    assert str(outcome.error) == "a: expected 1 results; got 0"


def test_work_that_exits_fails_its_item() -> None:
    def leave(items: list[int]) -> list[int]:
        raise SystemExit(3)

    with Pipeline([Stage("a", [leave])]) as pipeline:
        outcomes = list(pipeline.run(range(3)))
    assert ["SystemExit(3)" in str(o.error) for o in outcomes] == [True] * 3


def test_a_callback_or_observer_that_exits_ends_no_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()

    def leave(_: Any) -> None:
        raise SystemExit(3)

    with Pipeline([Stage("a", [gate], cap=2, queue=4)], observer=leave) as pipeline:
        futures = [pipeline.submit(i) for i in range(4)]
        for future in futures:
            future.add_done_callback(leave)
        gate.open(4)
        assert [f.result(timeout=PATIENCE) for f in futures] == list(range(4))
    assert caplog.text.count("a future's callback raised SystemExit(3)") >= 2
    assert "the observer failed" in caplog.text


def test_a_callback_that_exits_in_the_callers_thread_does_so() -> None:
    gate = Gate()

    def leave(_: Any) -> None:
        raise SystemExit(3)

    with Pipeline([Stage("a", [gate], queue=1)], overflow="drop-oldest") as pipeline:
        pipeline.submit(0)
        gate.wait()
        pipeline.submit(1).add_done_callback(leave)
        with pytest.raises(SystemExit):
            pipeline.submit(2)  # in place of 1
        gate.open(2)


def test_a_lost_workers_batch_goes_to_another_first(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    order: list[int] = []

    def dies(items: list[int]) -> list[int]:
        gate(items)
        raise DeviceError("chip 7 does not answer")

    def lives(items: list[int]) -> list[int]:
        lost.wait(timeout=PATIENCE)
        order.extend(items)
        return items

    lost = threading.Event()
    with Pipeline([Stage("a", [dies, lives], queue=9)]) as pipeline:
        futures = [pipeline.submit(i) for i in range(6)]
        taken = gate.wait()
        gate.open()
        while pipeline.stats()[0].workers == 2:
            pass
        lost.set()
        assert [f.result(timeout=PATIENCE) for f in futures] == list(range(6))
        stats = pipeline.stats()[0]
    # At most the batch that the other one had in hand came before it.
    assert order.index(taken[0]) <= 1
    assert stats.workers == 1
    assert "a: worker 0 is lost, 1 left: chip 7 does not answer" in caplog.text


def test_a_device_that_dies_between_items_of_a_batch() -> None:
    def shaky(items: list[int]) -> list[int]:
        if len(items) > 1:
            raise ValueError("not as a batch")
        if items == [3]:
            raise DeviceError("gone")
        return items

    gate = Gate()
    with Pipeline(
        [Stage("a", [gate], cap=9, queue=9), Stage("b", [shaky, gate], cap=9)]
    ) as pipeline:
        gate.open(99)
        futures = [pipeline.submit(i) for i in range(6)]
        assert [f.result(timeout=PATIENCE) for f in futures] == list(range(6))


def test_all_workers_lost() -> None:
    def dies(items: list[int]) -> list[int]:
        raise DeviceError("no power")

    with Pipeline([Stage("a", [same]), Stage("b", [dies] * 3), Stage("c", [same])]) as pipeline:
        outcomes = list(pipeline.run(range(50)))
    assert all(isinstance(o.error, NoDeviceLeftError) for o in outcomes)
    assert str(outcomes[0].error) == (
        "b: expected a working device; the last of 3 is lost: no power"
    )


def test_all_workers_of_the_first_stage_lost() -> None:
    def dies(items: list[int]) -> list[int]:
        raise DeviceError("no power")

    with Pipeline([Stage("a", [dies])], overflow="reject") as pipeline:
        first = pipeline.submit(0)
        with pytest.raises(NoDeviceLeftError):
            first.result(timeout=PATIENCE)
        with pytest.raises(NoDeviceLeftError):
            pipeline.submit(1).result(timeout=PATIENCE)


class Faulty:
    """Work that fails in every way, by chance; its last worker lives."""

    def __init__(self, seed: int, shares: dict[str, float], immortal: bool) -> None:
        self._random = random.Random(seed)
        self._shares = shares
        self._immortal = immortal

    def __call__(self, items: list[int]) -> list[Any]:
        dice = self._random.random()
        if dice < self._shares["device"] and not self._immortal:
            raise DeviceError("lost")
        if dice < self._shares["batch"]:
            raise RuntimeError("the batch")
        if dice < self._shares["short"]:
            return items[1:]
        return [
            ValueError("the item") if self._random.random() < self._shares["item"] else item
            for item in items
        ]


SHARES = {"device": 0.02, "batch": 0.05, "short": 0.07, "item": 0.05}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_everything_is_accounted_for_once(data: st.DataObject) -> None:
    stages = [
        Stage(
            name,
            [
                Faulty(
                    data.draw(st.integers(0, 99)), SHARES, immortal=bool(data.draw(st.booleans()))
                )
                for _ in range(data.draw(st.integers(1, 3)))
            ],
            cap=data.draw(st.integers(1, 5)),
            sizes=data.draw(st.sampled_from([(), (1, 2, 4), (3,)])),
            queue=data.draw(st.sampled_from([None, 1, 3])),
        )
        for name in "abc"[: data.draw(st.integers(1, 3))]
    ]
    chance = random.Random(data.draw(st.integers(0, 99)))
    overflow = data.draw(st.sampled_from(["block", "drop-oldest"]))
    ended: Counter[int] = Counter()
    lock = threading.Lock()
    futures: list[Future[Any]] = []
    pipeline = Pipeline(stages, overflow=overflow)

    def count(future: Future[Any], number: int) -> None:
        with lock:
            ended[number] += 1

    for number in range(120):
        future = pipeline.submit(number, deadline_s=chance.choice([None, 0.0005, 5.0]))
        future.add_done_callback(lambda f, number=number: count(f, number))  # type: ignore[misc]
        futures.append(future)
        if chance.random() < 0.1:
            chance.choice(futures).cancel()
    pipeline.close(cancel=data.draw(st.booleans()))
    assert all(future.done() for future in futures)
    assert ended == Counter(range(120))
    for number, future in enumerate(futures):
        if not future.cancelled() and future.exception() is None:
            assert future.result() == number


def test_soak() -> None:
    """A hundred thousand items, every kind of fault, flat memory."""
    spoilt = random.Random(1)
    slow = threading.Event()

    def first(items: list[int]) -> list[Any]:
        return [ValueError("corrupt") if item % 97 == 0 else item for item in items]

    def third(items: list[int]) -> list[int]:
        if any(item % 501 == 5 for item in items):
            raise RuntimeError("poison")
        if any(item % 1009 == 0 for item in items):
            slow.wait(0.002)
        return items

    doomed = [Faulty(seed, {"device": 1e-3, "batch": 2e-3, "short": 3e-3, "item": 1e-3}, False)
              for seed in range(3)]  # fmt: skip
    solid = Faulty(9, {"device": 0.0, "batch": 1e-3, "short": 2e-3, "item": 1e-3}, True)
    stages = [
        Stage("a", [first] * 2, cap=8),
        Stage("b", [*doomed, solid], cap=8, sizes=(1, 2, 4, 8)),
        Stage("c", [third] * 2, cap=8),
        Stage("d", [same], cap=16),
    ]
    kinds: Counter[str] = Counter()
    ended: Counter[int] = Counter()
    lock = threading.Lock()
    memory: list[int] = []

    def count(number: int, future: Future[Any]) -> None:
        with lock:
            ended[number] += 1
            if future.cancelled():
                kinds["cancelled"] += 1
            else:
                kinds[type(future.exception()).__name__] += 1

    with Pipeline(stages) as pipeline:
        for number in range(SOAK_ITEMS):
            deadline = 1e-4 if number % 211 == 0 else None
            future = pipeline.submit(number, deadline_s=deadline)
            future.add_done_callback(lambda f, number=number: count(number, f))  # type: ignore[misc]
            if spoilt.random() < 0.005:
                future.cancel()
            if number % (SOAK_ITEMS // 5) == 0:
                memory.append(resident_bytes())
        workers = {s.name: s.workers for s in pipeline.stats()}
    assert len(ended) == SOAK_ITEMS
    assert set(ended.values()) == {1}
    assert sum(kinds.values()) == SOAK_ITEMS
    assert kinds["NoneType"] > 0.8 * SOAK_ITEMS
    for kind in ("ValueError", "RuntimeError", "DeadlineError", "cancelled"):
        assert kinds[kind] > 0, kinds
    if SOAK_ITEMS >= 20_000:
        assert workers["b"] < 4  # devices were lost on the way
        # This test's own counters grow too: some 10 MiB for 60,000 items.
        assert memory[-1] - memory[1] < 24 << 20
