"""A stage at work: its queue and its state. All of it is guarded by the pipeline's one lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

from refine_itr.errors import DeadlineError, NoDeviceLeftError
from refine_itr.pipeline.stage import Stage, StageStats
from refine_itr.pipeline.ticket import Ticket
from refine_itr.pipeline.timing import BatchTiming

_TRY_ONE_IN = 8  # items that seem too late

Ended = list[tuple[Ticket, Exception | None]]
"""Tickets that are over, with their error: to be finished once the lock is free again."""


class Station:
    """One stage's queue and state. Call its methods with the lock held.

    Args:
        stage: What it runs.
        lock: The pipeline's.
        before: The one that hands on to it, if any.
    """

    def __init__(self, stage: Stage, lock: threading.Lock, before: Station | None) -> None:
        self.stage = stage
        self._before = before
        self.cap = stage.cap
        self.workers = len(stage.workers)
        self.not_empty = threading.Condition(lock)
        self.not_full = threading.Condition(lock)
        self.timing = BatchTiming()
        self.lost: NoDeviceLeftError | None = None
        self._queue: deque[Ticket] = deque()
        self._batches = self._items = self._failed = 0
        self._busy_s = 0.0
        self._given_up = 0  # items in a row that seemed too late

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def room(self) -> int:
        """How many more items may wait."""
        return max(0, (self.stage.queue or self._default_limit()) - len(self._queue))

    def put(self, tickets: Iterable[Ticket]) -> None:
        """Lets tickets wait, and wakes as many workers as they need."""
        before = len(self._queue)
        self._queue.extend(tickets)
        self.not_empty.notify(-(-(len(self._queue) - before) // self.cap))

    def put_back(self, tickets: list[Ticket]) -> None:
        """Puts a lost worker's batch in front of all others, whatever the room."""
        self._queue.extendleft(reversed(tickets))
        self.not_empty.notify(-(-len(tickets) // self.cap))

    def drop_oldest(self) -> Ticket:
        """Takes out the one that has waited longest."""
        return self._queue.popleft()

    def take(self) -> tuple[list[Ticket], Ended]:
        """Takes a batch of what waits now, leaving out what nobody wants or what is too late."""
        now = time.perf_counter()
        able: list[Ticket] = []
        ended: Ended = []
        most = self._batch_size(len(self._queue))
        while self._queue and len(able) < most:
            ticket = self._queue.popleft()
            if ticket.cancelled:
                ended.append((ticket, None))
            elif self._is_too_late(ticket, now):
                ended.append((ticket, DeadlineError(f"{self.stage.name}: too late to be done")))
            else:
                able.append(ticket)
        size = self._size_in_time(able, now)
        batch = able[:size]
        self._queue.extendleft(reversed(able[size:]))
        self.not_full.notify(len(batch) + len(ended))
        if self._queue:
            self.not_empty.notify()
        return batch, ended

    def drain(self, error: Exception) -> Ended:
        """Empties the queue; everything in it ends with ``error``."""
        ended: Ended = [(ticket, error) for ticket in self._queue]
        self._queue.clear()
        self.not_full.notify_all()
        return ended

    def count(self, size: int, failed: int, seconds: float) -> None:
        """Takes a finished batch into the statistics and the live timing."""
        self.timing.add(size, seconds)
        self._batches += 1
        self._items += size
        self._failed += failed
        self._busy_s += seconds

    def stats(self) -> StageStats:
        """Returns what it has done so far."""
        return StageStats(
            name=self.stage.name,
            workers=self.workers,
            cap=self.cap,
            waiting=len(self._queue),
            batches=self._batches,
            items=self._items,
            failed=self._failed,
            busy_s=self._busy_s,
        )

    def _default_limit(self) -> int:
        """A batch for each worker and one more, and never less than what comes at once."""
        coming = self._before.cap if self._before is not None else 1
        return max(self.cap * (self.workers + 1), coming)

    def _is_too_late(self, ticket: Ticket, now: float) -> bool:
        """Whether not even a batch of this item alone would end in time."""
        if ticket.deadline is None or now + self.timing.expected(1) <= ticket.deadline:
            self._given_up = 0
            return False
        if now > ticket.deadline:
            return True
        # Were all given up, it would never be learnt that the stage has become quick again.
        self._given_up += 1
        return self._given_up % _TRY_ONE_IN != 0

    def _size_in_time(self, tickets: list[Ticket], now: float) -> int:
        """Returns the size of a batch of the first tickets that ends before their deadlines."""
        size = self._batch_size(len(tickets))
        while size > 1:
            end = now + self.timing.expected(size)
            if all(t.deadline is None or end <= t.deadline for t in tickets[:size]):
                break
            size = self._batch_size(size // 2)
        return size

    def _batch_size(self, waiting: int) -> int:
        most = min(waiting, self.cap)
        return max((size for size in self.stage.sizes if size <= most), default=most)
