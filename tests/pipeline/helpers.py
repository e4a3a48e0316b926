"""Workers that tests hold and let go, and a watchdog."""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 30.0  # seconds; only a hang needs them


class Gate:
    """A worker that tells which batches it has and waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self._arrived = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def __call__(self, items: list[Any]) -> list[Any]:
        self.batches.append(items)
        self._arrived.release()
        assert self._go.acquire(timeout=PATIENCE)
        return items

    def wait(self) -> list[Any]:
        """Waits for the next batch and returns it."""
        assert self._arrived.acquire(timeout=PATIENCE)
        return self.batches[-1]

    def open(self, batches: int = 1) -> None:
        """Lets batches go."""
        for _ in range(batches):
            self._go.release()


def same(items: list[Any]) -> list[Any]:
    return items


@contextmanager
def watchdog(seconds: float = 120.0) -> Iterator[None]:
    """Ends the process with every thread's stack if the block hangs."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def pipeline_threads(*stages: str) -> list[str]:
    """Names of the living threads of such stages."""
    return [t.name for t in threading.enumerate() if t.name.rpartition("-")[0] in stages]
