"""One native workspace per thread: reused from call to call, never shared by two calls."""

from __future__ import annotations

import threading

from refine_itr import _core


class ThreadWorkspace:
    """Hands each thread its own ``_core.Workspace``."""

    def __init__(self) -> None:
        self._local = threading.local()

    def get(self) -> _core.Workspace:
        """Returns the calling thread's workspace."""
        workspace: _core.Workspace | None = getattr(self._local, "workspace", None)
        if workspace is None:
            workspace = self._local.workspace = _core.Workspace()
        return workspace
