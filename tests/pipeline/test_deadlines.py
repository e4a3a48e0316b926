"""Deadlines: what is too late is not run, and what seems so is not given up for good."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from helpers import PATIENCE, Gate, pipeline_threads, same, watchdog

from refine_itr.errors import DeadlineError
from refine_itr.pipeline import Pipeline, Stage


@pytest.fixture(autouse=True)
def _guarded() -> Iterator[None]:
    with watchdog():
        yield
    assert pipeline_threads("a", "b") == []


def test_deadlines() -> None:
    gate = Gate()
    with Pipeline([Stage("a", [gate], queue=5), Stage("b", [same])]) as pipeline:
        first = pipeline.submit(0, deadline_s=PATIENCE)
        gate.wait()
        late = pipeline.submit(1, deadline_s=0.01)
        patient = pipeline.submit(2)
        time.sleep(0.02)
        gate.open(2)
        with pytest.raises(DeadlineError, match="a: too late"):
            late.result(timeout=PATIENCE)
        assert first.result(timeout=PATIENCE) == 0
        assert patient.result(timeout=PATIENCE) == 2


def test_a_deadline_that_the_stage_cannot_keep_is_not_tried() -> None:
    ran: list[int] = []

    def slow(items: list[int]) -> list[int]:
        ran.extend(items)
        time.sleep(0.05)
        return items

    with Pipeline([Stage("a", [slow])], deadline_s=0.03) as pipeline:
        pipeline.submit(0, deadline_s=PATIENCE).result(timeout=PATIENCE)  # so long it takes
        with pytest.raises(DeadlineError):
            pipeline.submit(1).result(timeout=PATIENCE)
    assert ran == [0]


def test_one_slow_batch_does_not_starve_what_has_a_deadline() -> None:
    def slow_at_first(items: list[int]) -> list[int]:
        time.sleep(0.2 if items == [0] else 0.0)
        return items

    with Pipeline([Stage("a", [slow_at_first])], deadline_s=0.1) as pipeline:
        pipeline.submit(0, deadline_s=PATIENCE).result(timeout=PATIENCE)
        ends = [pipeline.submit(i).exception(timeout=PATIENCE) for i in range(1, 60)]
    assert isinstance(ends[0], DeadlineError)
    assert ends[40:] == [None] * 19


def test_a_batch_that_would_be_too_late_is_made_smaller() -> None:
    gate = Gate()
    waited: list[list[int]] = []

    def work(items: list[int]) -> list[int]:
        if items == [0]:
            gate(items)
        waited.append(items)
        time.sleep(0.02 * len(items))
        return items

    with Pipeline([Stage("a", [work], cap=8, queue=20)]) as pipeline:
        for number in (1, 2):  # 20 ms an item
            pipeline.submit(number).result(timeout=PATIENCE)
        pipeline.submit(0)
        gate.wait()
        # All eight take 160 ms, four of them 80.
        futures = [pipeline.submit(i, deadline_s=0.15) for i in range(3, 7)]
        futures += [pipeline.submit(i) for i in range(7, 11)]
        gate.open()
        assert [f.result(timeout=PATIENCE) for f in futures] == list(range(3, 11))
    assert len(waited[3]) in (2, 4)  # two on a slow machine
