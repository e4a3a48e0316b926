"""An item on its way: its value so far, its future, its deadline."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any


class Ticket:
    """Ends exactly once: with a result, an error, or cancelled.

    The future stays pending until then, so ``Future.cancel`` works all the way.
    """

    __slots__ = ("deadline", "future", "value")

    def __init__(self, item: Any, deadline_s: float | None) -> None:
        self.value = item
        self.future: Future[Any] = Future()
        self.deadline = None if deadline_s is None else time.perf_counter() + deadline_s

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the result any more."""
        return self.future.cancelled()

    def finish(self, result: Any) -> None:
        """Ends it. An ``Exception`` is an error; of a cancelled item neither is wanted."""
        if not self.future.set_running_or_notify_cancel():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)
