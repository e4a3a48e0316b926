from __future__ import annotations

import threading

import numpy as np

from refine_itr import _core

BUSY = "workspace: in use by another call; give each thread its own"


def search(workspace: _core.Workspace, queries: int, k: int = 5) -> None:
    gallery = np.ones((20000, 64), np.float32)
    scores, ids = np.empty((queries, k), np.float32), np.empty((queries, k), np.int64)
    _core.top_k(gallery[:queries], gallery, scores, ids, workspace, threads=1)


def search_twice_at_once(workspace: _core.Workspace) -> list[str]:
    """Two threads with one workspace; how each fared."""
    outcomes = []
    start = threading.Barrier(2)

    def run() -> None:
        start.wait()
        try:
            search(workspace, 200)
            outcomes.append("found")
        except RuntimeError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


def test_it_serves_one_call_at_a_time() -> None:
    workspace = _core.Workspace()
    # Now and then the one is done before the other starts.
    outcomes = [search_twice_at_once(workspace) for _ in range(20)]
    assert ["found", BUSY] in outcomes
    assert all("found" in pair for pair in outcomes)
    search(workspace, 1)


def test_a_refused_call_does_not_keep_it() -> None:
    workspace = _core.Workspace()
    x = np.ones((1, 2), np.float32)
    try:
        _core.top_k(x, x, x, np.zeros((1, 2), np.int64), workspace)
    except ValueError:
        search(workspace, 1)
    else:
        raise AssertionError("k > n was accepted")


def test_it_grows_once() -> None:
    workspace = _core.Workspace()
    assert workspace.nbytes == 0
    held = []
    for queries in (10, 200, 200, 200, 10):
        search(workspace, queries)
        held.append(workspace.nbytes)
    assert 0 < held[0] < held[1]
    # What the largest call took piece by piece is one piece from the next call on.
    assert held[2] <= held[1]
    assert held[2] == held[3] == held[4]


def test_a_search_for_everything_takes_bounded_memory() -> None:
    workspace = _core.Workspace()
    search(workspace, 500, k=20000)  # 500 lists of 20000 candidates would be 153 MiB
    assert workspace.nbytes < 40 << 20
