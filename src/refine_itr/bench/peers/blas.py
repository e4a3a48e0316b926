"""Threads of the BLAS libraries that NumPy and FAISS bring along."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def set_blas_threads(threads: int) -> None:
    """Sets the threads of every BLAS that is loaded, for the whole process."""
    threadpool_limits(limits=threads, user_api="blas")
