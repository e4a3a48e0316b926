"""The pipeline: items in, batches through stages that all work at the same time, results out.

One lock guards all queues and counters; it is never held while a stage works, a future ends or an
observer runs. Every ticket that came in is in exactly one place: a queue, a worker's batch, or
ended. A worker that cannot hand on waits for room, which is the backpressure.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Literal

from refine_itr.errors import (
    DeviceError,
    DroppedError,
    InvalidInputError,
    NoDeviceLeftError,
    PipelineClosedError,
    PipelineError,
    QueueFullError,
)
from refine_itr.pipeline.batch import run_batch
from refine_itr.pipeline.flow import run_in_order, run_unordered
from refine_itr.pipeline.stage import BatchRecord, Outcome, Stage, StageStats
from refine_itr.pipeline.station import Ended, Station
from refine_itr.pipeline.ticket import Ticket

_log = logging.getLogger("refine_itr")

Overflow = Literal["block", "drop-oldest", "reject"]
Observer = Callable[[BatchRecord], None]

# Threads of a pipeline that nobody closed must not keep the interpreter from ending.
_open: weakref.WeakSet[Pipeline] = weakref.WeakSet()


class Pipeline:
    """Stages that work at the same time, with bounded queues between them.

    A free worker takes whatever waits, up to its stage's cap, at once. A worker that raises
    ``DeviceError`` is retired with a warning, and its batch goes to another one.

    Args:
        stages: In order; their names differ.
        overflow: What ``submit`` does when the entry queue is full: wait, let the oldest item
            there go (``DroppedError``), or raise ``QueueFullError``.
        deadline_s: Seconds that an item has, unless ``submit`` says otherwise; None: any.
        observer: Called with every finished batch, from the workers' threads.

    Raises:
        InvalidInputError: There are no stages, two share a name, or an option is unknown.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        overflow: Overflow = "block",
        deadline_s: float | None = None,
        observer: Observer | None = None,
    ) -> None:
        names = [stage.name for stage in stages]
        if not names or len(set(names)) < len(names):
            raise InvalidInputError(f"stages: expected some, of different names; got {names}")
        if overflow not in ("block", "drop-oldest", "reject"):
            raise InvalidInputError(
                f"overflow: expected block, drop-oldest or reject; got {overflow!r}"
            )
        self._overflow = overflow
        self._deadline_s = deadline_s
        self._observer = observer
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._stations: list[Station] = []
        for stage in stages:
            before = self._stations[-1] if self._stations else None
            self._stations.append(Station(stage, self._lock, before))
        self._inside = 0
        self._closing: PipelineClosedError | None = None
        self._cancelling = False
        self._stopping = False
        self._threads = [
            threading.Thread(
                target=self._work, args=(place, number), name=f"{stage.name}-{number}", daemon=True
            )
            for place, stage in enumerate(stages)
            for number in range(len(stage.workers))
        ]
        for thread in self._threads:
            thread.start()
        _open.add(self)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(cancel=error is not None)

    def submit(self, item: Any, *, deadline_s: float | None = None) -> Future[Any]:
        """Lets an item in; from any number of threads.

        Args:
            item: What the first stage takes.
            deadline_s: Seconds from now after which its result is of no use.

        Returns:
            Its future. Cancelling it works until the result is there: the item is then dropped
            before the next stage.

        Raises:
            QueueFullError: The entry is full and the pipeline rejects; or one of its own workers
                (a future's callback) would have to wait for itself.
            PipelineClosedError: The pipeline is closed.
        """
        return self._submit(item, deadline_s, self._overflow)

    def run(self, items: Iterable[Any], *, ordered: bool = True) -> Iterator[Outcome[Any, Any]]:
        """Takes items as room comes, and yields what becomes of them.

        It waits when the pipeline is full, whatever the overflow policy. Only a bounded number of
        items is taken ahead of the outcomes. If the iterable raises, the outcomes of the items
        before come first. If it is closed early, what is still inside is cancelled.

        While the iterable makes its next item nothing is yielded, whatever is finished: it must
        neither wait for an outcome nor, like a camera, for the world. ``submit`` is for these.

        Args:
            items: What the first stage takes; taken lazily, from the consumer's thread.
            ordered: In the items' order, or as they are completed.
        """

        def submit(item: Any) -> Future[Any]:
            return self._submit(item, None, "block")

        with self._lock:
            limit = sum(s.room + len(s) + s.cap * s.workers for s in self._stations)
        return (run_in_order if ordered else run_unordered)(submit, items, limit + 1)

    @property
    def caps(self) -> dict[str, int]:
        """Most items of a batch, by stage."""
        return {station.stage.name: station.cap for station in self._stations}

    def set_cap(self, stage: str, cap: int) -> None:
        """Changes the most items of a batch of one stage, from its next batch on."""
        if cap < 1:
            raise InvalidInputError(f"cap: expected 1 or more; got {cap}")
        with self._lock:
            station = self._station(stage)
            station.cap = cap
            station.not_full.notify_all()

    def stats(self) -> list[StageStats]:
        """Returns what each stage has done so far."""
        with self._lock:
            return [station.stats() for station in self._stations]

    def close(self, *, cancel: bool = False) -> None:
        """Lets nothing more in, waits for what is inside, ends the threads. Any number of times.

        Args:
            cancel: Fail what waits with ``PipelineClosedError`` instead of finishing it; only the
                batches that workers have in hand are waited for.

        Raises:
            PipelineError: One of the pipeline's own workers called it.
        """
        if threading.current_thread() in self._threads:
            raise PipelineError("close: expected another thread than one of the pipeline's workers")
        with self._lock:
            self._closing = self._closing or PipelineClosedError("the pipeline is closed")
            self._cancelling |= cancel
            ended = self._drain_all() if cancel else []
            self._wake_all()
        self._finish(ended)
        with self._lock:
            while self._inside:
                self._idle.wait()
            self._stopping = True
            self._wake_all()
        for thread in self._threads:
            thread.join()
        _open.discard(self)

    def _submit(self, item: Any, deadline_s: float | None, overflow: Overflow) -> Future[Any]:
        ticket = Ticket(item, self._deadline_s if deadline_s is None else deadline_s)
        entry = self._stations[0]
        ended: Ended = []
        with self._lock:
            while self._closing is None and entry.lost is None and not entry.room:
                if overflow == "drop-oldest":
                    ended.append((entry.drop_oldest(), DroppedError("a newer item came")))
                    break
                if overflow == "reject" or threading.current_thread() in self._threads:
                    raise QueueFullError(f"{entry.stage.name}: {len(entry)} items wait already")
                entry.not_full.wait()
            if self._closing is not None:
                raise self._closing
            self._inside += 1
            if entry.lost is not None:
                ended.append((ticket, entry.lost))
            else:
                entry.put([ticket])
        self._finish(ended)
        return ticket.future

    def _work(self, place: int, number: int) -> None:
        """The life of one worker."""
        station = self._stations[place]
        function = station.stage.workers[number]
        while True:
            with self._lock:
                while not len(station) and not self._stopping:
                    station.not_empty.wait()
                if not len(station):
                    return
                batch, ended = station.take()
            self._finish(ended)
            if batch and not self._run(place, number, function, batch):
                return

    def _run(
        self, place: int, number: int, function: Callable[..., Any], batch: list[Ticket]
    ) -> bool:
        """Runs a batch and hands it on; returns whether the worker is still good."""
        station = self._stations[place]
        name = station.stage.name
        start = time.perf_counter()
        outcome = run_batch(name, function, [ticket.value for ticket in batch])
        end = time.perf_counter()
        done, undone = batch[: len(outcome.results)], batch[len(outcome.results) :]
        ended: Ended = []
        good: list[Ticket] = []
        for ticket, result in zip(done, outcome.results, strict=True):
            if isinstance(result, Exception):
                ended.append((ticket, result))
            else:
                ticket.value = result
                good.append(ticket)
        with self._lock:
            if done:
                station.count(len(done), len(ended), end - start)
            if outcome.lost is not None:
                ended += self._retire(station, number, outcome.lost, undone)
        if done:
            self._observe(BatchRecord(name, number, len(done), start, end))
        self._finish(ended)
        self._hand_on(place + 1, good)
        return outcome.lost is None

    def _retire(
        self, station: Station, number: int, reason: DeviceError, undone: list[Ticket]
    ) -> Ended:
        """Takes a worker out of service; with the lock held."""
        name = station.stage.name
        station.workers -= 1
        _log.warning("%s: worker %d is lost, %d left: %s", name, number, station.workers, reason)
        station.put_back(undone)
        if station.workers:
            return []
        station.lost = NoDeviceLeftError(
            f"{name}: expected a working device; the last of {len(station.stage.workers)} "
            f"is lost: {reason}"
        )
        return station.drain(station.lost)

    def _hand_on(self, place: int, tickets: list[Ticket]) -> None:
        """Gives tickets to the stage at ``place``, as room comes; after the last one they end."""
        if place == len(self._stations):
            self._finish([(ticket, None) for ticket in tickets])
            return
        station = self._stations[place]
        waiting = tickets
        with self._lock:
            while waiting and station.lost is None and not self._cancelling:
                room = station.room
                if room:
                    station.put(waiting[:room])
                    waiting = waiting[room:]
                else:
                    station.not_full.wait()
            error = station.lost or self._closing
        self._finish([(ticket, error) for ticket in waiting])

    def _finish(self, ended: Ended) -> None:
        """Ends tickets; without the lock, as callbacks run here."""
        if not ended:
            return
        raised: BaseException | None = None
        for ticket, error in ended:
            try:
                ticket.finish(ticket.value if error is None else error)
            except BaseException as exc:  # of a callback: futures let SystemExit and its kin out
                raised = exc
        with self._lock:
            self._inside -= len(ended)
            if not self._inside:
                self._idle.notify_all()
        if raised is not None and threading.current_thread() not in self._threads:
            raise raised
        if raised is not None:  # ends no worker: others wait for it
            _log.error("a future's callback raised %r", raised)

    def _observe(self, record: BatchRecord) -> None:
        if self._observer is None:
            return
        try:
            self._observer(record)
        except BaseException:  # ends no worker
            _log.exception("the observer failed")

    def _drain_all(self) -> Ended:
        assert self._closing is not None
        return [end for station in self._stations for end in station.drain(self._closing)]

    def _wake_all(self) -> None:
        for station in self._stations:
            station.not_empty.notify_all()
            station.not_full.notify_all()

    def _station(self, name: str) -> Station:
        for station in self._stations:
            if station.stage.name == name:
                return station
        raise InvalidInputError(f"stage: expected one of {', '.join(self.caps)}; got {name!r}")


@atexit.register
def _close_all() -> None:
    for pipeline in list(_open):
        pipeline.close(cancel=True)
