"""Runs one batch so that a bad item fails alone and a lost device loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refine_itr.errors import DeviceError, PipelineError
from refine_itr.pipeline.stage import BatchFunction


@dataclass(frozen=True)
class BatchResult:
    """What came of a batch.

    Attributes:
        results: For the first items of the batch, in order; an ``Exception`` is a failure.
        lost: Why the worker is lost, which leaves the other items undone; else None.
    """

    results: Sequence[Any]
    lost: DeviceError | None = None


def run_batch(stage: str, work: BatchFunction, items: list[Any]) -> BatchResult:
    """Runs a batch; if it raises, runs its items one by one."""
    try:
        return BatchResult(_run(stage, work, items))
    except DeviceError as exc:
        return BatchResult([], exc)
    except BaseException as exc:
        if len(items) == 1:
            return BatchResult([_as_error(stage, exc)])
    return _run_singly(stage, work, items)


def _run_singly(stage: str, work: BatchFunction, items: list[Any]) -> BatchResult:
    results: list[Any] = []
    for item in items:
        alone = run_batch(stage, work, [item])
        if alone.lost is not None:
            return BatchResult(results, alone.lost)
        results.extend(alone.results)
    return BatchResult(results)


def _run(stage: str, work: BatchFunction, items: list[Any]) -> Sequence[Any]:
    # A list of its own: what the work does to it must not reach the tickets.
    results = work(list(items))
    if len(results) != len(items):
        raise PipelineError(f"{stage}: expected {len(items)} results; got {len(results)}")
    return results


def _as_error(stage: str, exc: BaseException) -> Exception:
    # SystemExit and its kin in a worker thread end an item, not the process.
    return exc if isinstance(exc, Exception) else PipelineError(f"{stage}: {exc!r}")
