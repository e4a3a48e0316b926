"""pyACL's process-wide state: initialised once, each device set while in use, ended at exit."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from refine_itr.detection.ascend.calls import Acl
from refine_itr.errors import DeviceError

if TYPE_CHECKING:
    from refine_itr.detection.ascend.backend import AscendBackend

_log = logging.getLogger("refine_itr")


class _Runtime:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.acl: Acl | None = None
        self.is_ours = False  # to end
        self.users: Counter[int] = Counter()
        self.open: weakref.WeakSet[AscendBackend] = weakref.WeakSet()


_runtime = _Runtime()


def acquire_device(device: int) -> Acl:
    """Initialises pyACL, the first time, and sets a device; ``release_device`` undoes the latter.

    CANN can be initialised only once in a process, so it is ended at the process's exit and not
    with the last device.
    """
    with _runtime.lock:
        if _runtime.acl is None:
            acl = Acl()
            _runtime.is_ours = acl.initialise()
            _runtime.acl = acl
            atexit.register(shut_down)
        if not _runtime.users[device]:
            _runtime.acl.call("rt.set_device", device)
        _runtime.users[device] += 1
        return _runtime.acl


def release_device(device: int) -> None:
    """Gives a device back; the last one to do so resets it."""
    with _runtime.lock:
        assert _runtime.acl is not None
        _runtime.users[device] -= 1
        if not _runtime.users[device]:
            _runtime.acl.call("rt.reset_device", device)


def close_at_exit(backend: AscendBackend) -> None:
    """Remembers a backend, so that it is closed before pyACL ends."""
    _runtime.open.add(backend)


def shut_down() -> None:
    """Closes what is open and ends pyACL, unless it is somebody else's who initialised it.

    Runs at exit, where nobody can catch an error.
    """
    for backend in list(_runtime.open):
        with _logged_errors():
            backend.close()
    with _runtime.lock, _logged_errors():
        if _runtime.acl is not None:
            acl, _runtime.acl = _runtime.acl, None
            if _runtime.is_ours:
                acl.call("finalize")
    atexit.unregister(shut_down)


@contextmanager
def _logged_errors() -> Iterator[None]:
    try:
        yield
    except DeviceError as exc:
        _log.warning("%s", exc)
