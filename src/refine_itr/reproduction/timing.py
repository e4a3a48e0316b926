"""Times the image encoders of trained bundles in turns, as written and folded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np

from refine_itr import _core
from refine_itr.bundle import read_bundle
from refine_itr.encoding import ImageEncoder
from refine_itr.errors import RefineItrError
from refine_itr.reproduction.as_written import AsWrittenEncoder
from refine_itr.types import FloatArray

BATCH = 24  # the paper's
_ROUNDS = 7
_TOLERANCE = 1e-3

_Encode = Callable[[], FloatArray]


def time_encoders(bundles: Mapping[str, Path], regions: FloatArray) -> dict[str, dict[str, float]]:
    """Returns for each bundle the milliseconds a photograph, "as_written_ms" and "folded_ms".

    The median of some rounds of one batch each on all cores; in a round every encoder has its
    turn, so that what the machine does meanwhile hits all alike.

    Args:
        bundles: Folders of bundles, by name.
        regions: float32 (n, K, C), what is encoded in one batch.

    Raises:
        RefineItrError: The two forms of an encoder do not give the same embeddings.
    """
    calls: dict[str, tuple[_Encode, _Encode]] = {}
    for name, folder in bundles.items():
        bundle = read_bundle(folder)
        threads = _core.max_threads()
        written = AsWrittenEncoder(bundle.config, bundle.weights, threads)
        folded = ImageEncoder(bundle.config, bundle.weights, threads)
        _compare(name, written.encode(regions), folded.encode(regions))
        calls[name] = (_call(written.encode, regions), _call(folded.encode, regions))
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in calls}
    for _ in range(_ROUNDS):
        for name, forms in calls.items():
            for form, times in zip(forms, seconds[name], strict=True):
                times.append(_seconds(form))
    per_image = 1e3 / len(regions)
    return {
        name: {
            "as_written_ms": round(median(written_s) * per_image, 3),
            "folded_ms": round(median(folded_s) * per_image, 3),
        }
        for name, (written_s, folded_s) in seconds.items()
    }


def _call(encode: Callable[[FloatArray], FloatArray], regions: FloatArray) -> _Encode:
    return lambda: encode(regions)


def _seconds(call: _Encode) -> float:
    call()  # its own weights, not the last one's, are in the caches
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _compare(name: str, written: FloatArray, folded: FloatArray) -> None:
    worst = float(np.abs(written - folded).max())
    if not worst <= _TOLERANCE:
        raise RefineItrError(
            f"{name}: expected the same embeddings as written and folded, to {_TOLERANCE}; "
            f"got a difference of {worst}"
        )
