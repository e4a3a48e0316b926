"""How the C library hands memory back, which decides a third of the time on a CPU."""

from __future__ import annotations

import ctypes
import platform

# From glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3


def keep_large_blocks() -> None:
    """Asks glibc to keep freed memory; elsewhere this does nothing.

    A batch's activations are freed and allocated again in each step. By default each of these
    blocks goes back to the kernel, which then has to clear every page once more.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_M_TOP_PAD, 256 << 20)
