"""The pipeline: batches, order, backpressure, overflow, cancelling, closing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
from helpers import PATIENCE, Gate, pipeline_threads, same, watchdog

from refine_itr.errors import (
    DroppedError,
    InvalidInputError,
    PipelineClosedError,
    PipelineError,
    QueueFullError,
)
from refine_itr.pipeline import BatchRecord, Pipeline, Stage


@pytest.fixture(autouse=True)
def _guarded() -> Iterator[None]:
    with watchdog():
        yield
    assert pipeline_threads("a", "b", "c") == []


def doubled(items: list[int]) -> list[int]:
    return [2 * item for item in items]


def three(cap: int = 4) -> list[Stage]:
    return [
        Stage("a", [doubled] * 2, cap=cap),
        Stage("b", [doubled], cap=cap),
        Stage("c", [doubled] * 3, cap=cap),
    ]


def test_in_order() -> None:
    with Pipeline(three()) as pipeline:
        outcomes = list(pipeline.run(range(500)))
    assert [(o.index, o.item, o.value, o.error) for o in outcomes] == [
        (i, i, 8 * i, None) for i in range(500)
    ]


def test_as_completed() -> None:
    gate = Gate()

    def held(items: list[int]) -> list[int]:
        return gate(items) if items == [0] else items

    with Pipeline([Stage("a", [held, held])]) as pipeline:
        outcomes = pipeline.run(range(4), ordered=False)
        first = [next(outcomes).item for _ in range(3)]
        gate.open()
        assert sorted(first) == [1, 2, 3]
        assert [o.item for o in outcomes] == [0]


def test_submit_from_many_threads() -> None:
    results: dict[int, int] = {}
    with Pipeline(three(), overflow="block") as pipeline:

        def feed(start: int) -> None:
            for i in range(start, start + 100):
                results[i] = pipeline.submit(i).result(timeout=PATIENCE)

        threads = [threading.Thread(target=feed, args=(100 * n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {i: 8 * i for i in range(500)}


def test_a_free_worker_takes_what_waits_up_to_the_cap() -> None:
    gate = Gate()
    with Pipeline([Stage("a", [gate], cap=3, queue=10)]) as pipeline:
        futures = [pipeline.submit(0)]
        assert gate.wait() == [0]
        futures += [pipeline.submit(i) for i in range(1, 6)]
        gate.open()
        assert gate.wait() == [1, 2, 3]
        gate.open()
        assert gate.wait() == [4, 5]
        gate.open()
        assert [future.result() for future in futures] == list(range(6))


def test_gears_are_rounded_down() -> None:
    gate = Gate()
    with Pipeline([Stage("a", [gate], cap=8, sizes=(2, 4, 8), queue=20)]) as pipeline:
        pipeline.submit(0)
        assert gate.wait() == [0]  # fewer than the smallest: all that wait
        for i in range(1, 8):
            pipeline.submit(i)
        for expected in ([1, 2, 3, 4], [5, 6], [7]):
            gate.open()
            assert gate.wait() == expected
        gate.open()


def test_every_free_worker_gets_an_item() -> None:
    barrier = threading.Barrier(5)

    def together(items: list[int]) -> list[int]:
        barrier.wait(timeout=PATIENCE)  # breaks unless all five work at the same time
        return items

    with Pipeline([Stage("a", [together] * 5)]) as pipeline:
        assert [o.value for o in pipeline.run(range(20))] == list(range(20))


def test_the_source_is_taken_lazily() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for i in range(10_000):
            taken += 1
            yield i

    with Pipeline([Stage("a", [same], cap=2), Stage("b", [same], cap=2)]) as pipeline:
        outcomes = pipeline.run(source())
        assert taken == 0
        next(outcomes)
        assert taken <= 16
        outcomes.close()  # type: ignore[attr-defined]
    assert taken <= 16


def test_backpressure_bounds_what_is_inside() -> None:
    gate = Gate()
    with Pipeline([Stage("a", [same]), Stage("b", [gate], queue=2)], overflow="reject") as pipeline:
        accepted = 0
        deadline = time.monotonic() + PATIENCE
        # One in the gate, two before it, one in the hands of "a", two before "a".
        while accepted < 6 and time.monotonic() < deadline:
            try:
                pipeline.submit(accepted)
                accepted += 1
            except QueueFullError:
                time.sleep(0.001)
        gate.wait()
        with pytest.raises(QueueFullError, match="a: 2 items wait already"):
            pipeline.submit(99)
        gate.open(20)
    assert accepted == 6


def test_drop_oldest() -> None:
    gate = Gate()
    with Pipeline([Stage("a", [gate], queue=2)], overflow="drop-oldest") as pipeline:
        futures = [pipeline.submit(0)]
        gate.wait()
        futures += [pipeline.submit(i) for i in range(1, 6)]
        for i in (1, 2, 3):
            with pytest.raises(DroppedError):
                futures[i].result(timeout=PATIENCE)
        gate.open(3)
        assert [futures[i].result(timeout=PATIENCE) for i in (0, 4, 5)] == [0, 4, 5]


def test_block_waits_for_room() -> None:
    gate = Gate()
    with Pipeline([Stage("a", [gate], queue=1)]) as pipeline:
        pipeline.submit(0)
        gate.wait()
        pipeline.submit(1)
        late: list[Future[Any]] = []
        thread = threading.Thread(target=lambda: late.append(pipeline.submit(2)))
        thread.start()
        assert late == []
        gate.open(3)
        thread.join()
        assert late[0].result(timeout=PATIENCE) == 2


def test_a_callback_that_would_wait_for_itself_is_refused() -> None:
    refused: list[Exception] = []
    gate = Gate()
    with Pipeline([Stage("a", [gate], queue=1)]) as pipeline:

        def again(_: Future[Any]) -> None:
            try:
                for _ in range(3):
                    pipeline.submit(0)
            except QueueFullError as exc:
                refused.append(exc)

        first = pipeline.submit(0)
        first.add_done_callback(again)
        gate.open(9)
        first.result(timeout=PATIENCE)
    assert len(refused) == 1


def test_cancelling_at_every_boundary() -> None:
    gates = [Gate(), Gate()]
    with Pipeline([Stage("a", [gates[0]], queue=5), Stage("b", [gates[1]])]) as pipeline:
        in_first, queued = pipeline.submit(0), pipeline.submit(1)
        gates[0].wait()
        assert in_first.cancel()
        assert queued.cancel()
        in_second = pipeline.submit(2)
        gates[0].open(2)
        assert gates[1].wait() == [2]
        assert in_second.cancel()
        gates[1].open()
        kept = pipeline.submit(3)
        gates[0].open()
        gates[1].open()
        assert kept.result(timeout=PATIENCE) == 3
        assert not kept.cancel()
    for future in (in_first, queued, in_second):
        with pytest.raises(CancelledError):
            future.result()
    assert [batch for gate in gates for batch in gate.batches] == [[0], [2], [3], [2], [3]]


def test_closing_early_cancels_what_is_inside() -> None:
    seen: list[int] = []

    def note(items: list[int]) -> list[int]:
        seen.extend(items)
        return items

    with Pipeline([Stage("a", [note])]) as pipeline:
        outcomes = pipeline.run(range(1000))
        assert next(outcomes).value == 0
        outcomes.close()  # type: ignore[attr-defined]
        assert [o.value for o in pipeline.run([7])] == [7]
    assert len(seen) < 20


@pytest.mark.parametrize("ordered", [True, False])
def test_a_source_that_raises(ordered: bool) -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk is gone")

    with Pipeline(three()) as pipeline:
        outcomes = pipeline.run(source(), ordered=ordered)
        values = [next(outcomes).value for _ in range(5)]
        with pytest.raises(OSError, match="the disk is gone"):
            next(outcomes)
        assert sorted(values) == [0, 8, 16, 24, 32]
        assert [o.value for o in pipeline.run([1])] == [8]


def test_close_waits_and_refuses() -> None:
    gate = Gate()
    pipeline = Pipeline([Stage("a", [gate])])
    future = pipeline.submit(1)
    gate.wait()
    closers = [threading.Thread(target=pipeline.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    gate.open()
    for closer in closers:
        closer.join()
    pipeline.close()
    assert future.result() == 1
    with pytest.raises(PipelineClosedError):
        pipeline.submit(2)
    with pytest.raises(PipelineClosedError):
        list(pipeline.run([2]))


def test_close_with_cancel_fails_what_waits() -> None:
    gate = Gate()
    pipeline = Pipeline([Stage("a", [gate], queue=3), Stage("b", [same])])
    futures = [pipeline.submit(i) for i in range(3)]
    gate.wait()
    closer = threading.Thread(target=pipeline.close, kwargs={"cancel": True})
    closer.start()
    for future in futures[1:]:
        with pytest.raises(PipelineClosedError):
            future.result(timeout=PATIENCE)
    gate.open()
    closer.join()
    with pytest.raises(PipelineClosedError):  # its batch was waited for, but went no further
        futures[0].result()


def test_close_while_upstream_is_blocked() -> None:
    gate = Gate()
    pipeline = Pipeline([Stage("a", [same], queue=8), Stage("b", [gate], queue=1)])
    futures = [pipeline.submit(i) for i in range(4)]
    gate.wait()
    closer = threading.Thread(target=pipeline.close, kwargs={"cancel": True})
    closer.start()
    gate.open()
    closer.join()
    assert all(future.done() for future in futures)


def test_close_from_an_own_worker_is_refused() -> None:
    errors: list[Exception] = []
    pipeline = Pipeline([Stage("a", [same])])

    def close(_: Future[Any]) -> None:
        try:
            pipeline.close()
        except PipelineError as exc:
            errors.append(exc)

    future = pipeline.submit(1)
    future.add_done_callback(close)
    future.result(timeout=PATIENCE)
    pipeline.close()
    assert len(errors) <= 1  # none if the result was there before the callback


def test_an_exception_in_the_block_cancels() -> None:
    gate = Gate()
    futures: list[Future[Any]] = []

    def interrupted() -> None:
        with Pipeline([Stage("a", [gate], queue=3)]) as pipeline:
            futures.extend(pipeline.submit(i) for i in range(3))
            gate.wait()
            gate.open()
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert all(future.done() for future in futures)
    assert isinstance(futures[2].exception(), PipelineClosedError)


def test_records_and_statistics() -> None:
    records: list[BatchRecord] = []
    with Pipeline([Stage("a", [same]), Stage("b", [same], cap=4)], observer=records.append) as p:
        list(p.run(range(50)))
        stats = {s.name: s for s in p.stats()}
    assert sum(r.size for r in records if r.stage == "b") == 50
    assert all(r.end >= r.start and r.worker == 0 for r in records)
    assert (stats["a"].items, stats["a"].batches, stats["a"].failed) == (50, 50, 0)
    assert stats["b"].waiting == 0
    assert stats["b"].busy_s == pytest.approx(
        sum(r.end - r.start for r in records if r.stage == "b")
    )


def test_an_observer_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: BatchRecord) -> None:
        raise ValueError("broken observer")

    with Pipeline([Stage("a", [same])], observer=broken) as pipeline:
        assert [o.value for o in pipeline.run(range(3))] == [0, 1, 2]
    assert "the observer failed" in caplog.text


def test_caps_change_while_it_runs() -> None:
    gate = Gate()
    with Pipeline([Stage("a", [gate], cap=1, queue=10)]) as pipeline:
        pipeline.submit(0)
        gate.wait()
        for i in range(1, 5):
            pipeline.submit(i)
        pipeline.set_cap("a", 3)
        assert pipeline.caps == {"a": 3}
        gate.open()
        assert gate.wait() == [1, 2, 3]
        gate.open(2)
        with pytest.raises(InvalidInputError, match="stage: expected one of a; got 'b'"):
            pipeline.set_cap("b", 1)
        with pytest.raises(InvalidInputError, match="cap: expected 1 or more; got 0"):
            pipeline.set_cap("a", 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pipeline([]), "stages: expected some"),
        (lambda: Pipeline([Stage("a", [same]), Stage("a", [same])]), "of different names"),
        (lambda: Pipeline([Stage("a", [same])], overflow="x"), "overflow: expected block"),  # type: ignore[arg-type]
        (lambda: Stage("a", []), "at least one worker"),
        (lambda: Stage("a", [same], cap=0), "cap and queue of 1 or more"),
        (lambda: Stage("a", [same], sizes=(4, 2)), "ascending sizes"),
    ],
)
def test_wrong_settings(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()
