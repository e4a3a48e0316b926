"""GPO's sorting network, through an encoder that does nothing else but the last l2norm."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refine_itr import _core

from . import reference
from .arrays import empty, positive_sizes, seeds, thread_counts, unaligned
from .tolerances import assert_close


@given(
    b=st.integers(0, 5),
    k=st.integers(1, 70),
    d=positive_sizes,
    largest=st.sampled_from([1, 2, 1000]),
    seed=seeds,
    threads=thread_counts,
)
def test_gpo(isa: str, b: int, k: int, d: int, largest: int, seed: int, threads: int) -> None:
    # Whole numbers, many of them alike: every sum is exact, only the norm rounds.
    rng = np.random.default_rng(seed)
    regions, coefficients = (
        unaligned(rng.integers(-most, most + 1, shape).astype(np.float32))
        for most, shape in ((largest, (b, k, d)), (5, (k,)))
    )
    encoder = _core.ImageEncoder(
        _core.PackedMatrix(np.eye(d, dtype=np.float32)),
        [],
        norm_axis="none",
        pooling="gpo",
        pool_coefficients=coefficients,
    )
    out = empty(b, d)
    encoder.encode(regions, out, _core.Workspace(), threads=threads)
    assert_close(out, reference.unit(reference.gpo(regions, coefficients)), "l2norm", 1.0)
