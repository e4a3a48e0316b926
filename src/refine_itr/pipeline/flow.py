"""From an iterable to outcomes: how far ahead items are taken, and in which order they come out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from functools import partial
from queue import SimpleQueue
from typing import Any

from refine_itr.errors import PipelineError
from refine_itr.pipeline.stage import Outcome

Submit = Callable[[Any], "Future[Any]"]
_Entry = tuple[int, Any, "Future[Any]"]


class _Source:
    """Takes items one at a time and remembers what the iterable raised."""

    def __init__(self, submit: Submit, items: Iterable[Any]) -> None:
        self._submit = submit
        self._items = enumerate(items)
        self.exhausted = False
        self.error: BaseException | None = None

    def advance(self) -> _Entry | None:
        try:
            index, item = next(self._items)
            return index, item, self._submit(item)
        except StopIteration:
            self.exhausted = True
        except Exception as exc:  # it comes out after the outcomes of the items before
            self.exhausted = True
            self.error = exc
        return None


def run_in_order(submit: Submit, items: Iterable[Any], limit: int) -> Iterator[Outcome[Any, Any]]:
    """Yields outcomes in the items' order, at most ``limit`` items ahead of them."""
    source = _Source(submit, items)
    pending: deque[_Entry] = deque()
    try:
        while pending or not source.exhausted:
            while not source.exhausted and len(pending) < limit:
                entry = source.advance()
                if entry is not None:
                    pending.append(entry)
                if pending and pending[0][2].done():
                    break
            if pending:
                # Taken out only when it is done: until then an interruption must cancel it too.
                outcome = _outcome(*pending[0])
                pending.popleft()
                yield outcome
    finally:
        _cancel(future for _, _, future in pending)
    if source.error is not None:
        raise source.error


def run_unordered(submit: Submit, items: Iterable[Any], limit: int) -> Iterator[Outcome[Any, Any]]:
    """Yields outcomes as they come, with at most ``limit`` items taken and not yet yielded."""
    source = _Source(submit, items)
    pending: dict[int, _Entry] = {}
    done: SimpleQueue[int] = SimpleQueue()
    try:
        while pending or not source.exhausted:
            while not source.exhausted and len(pending) < limit and done.empty():
                entry = source.advance()
                if entry is not None:
                    index = entry[0]
                    pending[index] = entry
                    entry[2].add_done_callback(partial(_put_index, done, index))
            if pending:
                yield _outcome(*pending.pop(done.get()))
    finally:
        _cancel(future for _, _, future in pending.values())
    if source.error is not None:
        raise source.error


def _put_index(done: SimpleQueue[int], index: int, _: Future[Any]) -> None:
    done.put(index)


def _outcome(index: int, item: Any, future: Future[Any]) -> Outcome[Any, Any]:
    try:
        return Outcome(index, item, future.result(), None)
    except CancelledError:
        return Outcome(index, item, None, PipelineError("cancelled"))
    except Exception as exc:
        return Outcome(index, item, None, exc)


def _cancel(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.cancel()
