"""What a pipeline is made of, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from refine_itr.errors import InvalidInputError

Item = TypeVar("Item")
Value = TypeVar("Value")

BatchFunction: TypeAlias = Callable[[list[Any]], Sequence[Any]]
"""One result for each item, in order. A result that is an ``Exception`` fails that item alone.

Raising ``DeviceError`` says that this worker is lost: the batch goes to another one. Raising
anything else runs the batch again item by item, so that only the guilty fail.
"""


@dataclass(frozen=True)
class Stage:
    """One step of the way: a queue, and workers that take batches from it.

    Attributes:
        name: Unique in its pipeline.
        workers: One thread each: 24 chips are 24 functions, two CPU workers the same one twice.
        cap: Most items of a batch.
        sizes: Batch sizes that the device takes, ascending; none means any. A worker takes the
            largest that is not above what waits; all that waits if that is below the smallest.
        queue: Most items that wait before the stage; None: a batch for each worker and one more,
            or a batch of the stage before if that is larger.
    """

    name: str
    workers: Sequence[BatchFunction]
    cap: int = 1
    sizes: tuple[int, ...] = ()
    queue: int | None = None

    def __post_init__(self) -> None:
        if not self.workers:
            raise InvalidInputError(f"stage {self.name}: expected at least one worker; got none")
        if self.cap < 1 or (self.queue is not None and self.queue < 1):
            raise InvalidInputError(
                f"stage {self.name}: expected cap and queue of 1 or more; "
                f"got {self.cap} and {self.queue}"
            )
        if any(size < 1 for size in self.sizes) or list(self.sizes) != sorted(set(self.sizes)):
            raise InvalidInputError(
                f"stage {self.name}: expected ascending sizes of 1 or more; got {self.sizes}"
            )


@dataclass(frozen=True)
class BatchRecord:
    """One batch of one worker.

    Attributes:
        stage: The stage's name.
        worker: The worker's number in it.
        size: Items of the batch.
        start: ``time.perf_counter()`` when the worker began.
        end: The same when it had finished.
    """

    stage: str
    worker: int
    size: int
    start: float
    end: float


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """What became of an item of ``Pipeline.run``.

    Attributes:
        index: The item's number in the iterable.
        item: The item.
        value: The last stage's result; None with an error.
        error: Why there is none; None with a result.
    """

    index: int
    item: Item
    value: Any
    error: Exception | None


@dataclass(frozen=True)
class StageStats:
    """What a stage has done so far.

    Attributes:
        name: The stage's name.
        workers: Workers that are not lost.
        cap: Most items of a batch now.
        waiting: Items in its queue now.
        batches: Batches run.
        items: Items that these held.
        failed: Items that failed in this stage.
        busy_s: Seconds that its workers were busy, added up.
    """

    name: str
    workers: int
    cap: int
    waiting: int
    batches: int
    items: int
    failed: int
    busy_s: float
