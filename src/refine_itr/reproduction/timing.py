"""Times the image encoders of trained bundles in turns, as written and folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from refine_itr import _core
from refine_itr.bench.as_written import AsWrittenEncoder
from refine_itr.bench.timing import FULL, interleave
from refine_itr.bundle import read_bundle
from refine_itr.encoding import ImageEncoder
from refine_itr.errors import RefineItrError
from refine_itr.types import FloatArray

BATCH = 24  # the paper's
FORMS = ("as_written_ms", "folded_ms")
_TOLERANCE = 1e-3


def time_encoders(bundles: Mapping[str, Path], regions: FloatArray) -> dict[str, dict[str, float]]:
    """Returns for each bundle the milliseconds a photograph, "as_written_ms" and "folded_ms".

    The medians of one batch each on all cores.

    Args:
        bundles: Folders of bundles, by name.
        regions: float32 (n, K, C), what is encoded in one batch.

    Raises:
        RefineItrError: The two forms of an encoder do not give the same embeddings.
    """
    calls: dict[tuple[str, str], Callable[[], FloatArray]] = {}
    for name, folder in bundles.items():
        bundle = read_bundle(folder)
        threads = _core.max_threads()
        written = AsWrittenEncoder(bundle.config, bundle.weights, threads)
        folded = ImageEncoder(bundle.config, bundle.weights, threads)
        _compare(name, written.encode(regions), folded.encode(regions))
        for form, encode in zip(FORMS, (written.encode, folded.encode), strict=True):
            calls[name, form] = partial(encode, regions)
    times = interleave(calls, FULL)
    return {
        name: {form: round(times[name, form].median_ms / len(regions), 3) for form in FORMS}
        for name in bundles
    }


def _compare(name: str, written: FloatArray, folded: FloatArray) -> None:
    worst = float(np.abs(written - folded).max())
    if not worst <= _TOLERANCE:
        raise RefineItrError(
            f"{name}: expected the same embeddings as written and folded, to {_TOLERANCE}; "
            f"got a difference of {worst}"
        )
