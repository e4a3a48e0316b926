"""NumPy over its BLAS."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from refine_itr.bench.arrays import encode_images, encode_texts
from refine_itr.bench.equations import ImageWork
from refine_itr.bench.report import Baseline
from refine_itr.bench.sentences import TextWork
from refine_itr.bench.timing import Call

NAME = "NumPy"
PACKAGES = ("numpy", "threadpoolctl")
PRECISIONS = ("fp32",)


def image_call(work: ImageWork, baseline: Baseline, precision: str, threads: int) -> Call:
    """Returns a call that embeds the batch."""
    set_threads(threads)
    return encode_images(work, baseline, np.float32)


def text_call(work: TextWork, baseline: Baseline, precision: str, threads: int) -> Call:
    """Returns a call that embeds the batch."""
    set_threads(threads)
    return encode_texts(work, baseline, np.float32)


def set_threads(threads: int) -> None:
    """Sets the threads of NumPy's BLAS, which are the process's."""
    threadpool_limits(limits=threads, user_api="blas")
