"""The native encoders and search as stages: many threads, one encoder, right results."""

from __future__ import annotations

import threading

import numpy as np
from helpers import watchdog

from refine_itr import _core
from refine_itr.assembly import encode_worker
from refine_itr.bench.paper_model import REGIONS, paper_encoder
from refine_itr.index import search_worker
from refine_itr.pipeline import Pipeline, Stage
from refine_itr.profiling import unit_rows

DIM, PICTURES = 24, 60


def test_encoding_and_search_in_many_threads() -> None:
    encoder = paper_encoder(DIM, 1)
    regions = np.random.default_rng(0).random((PICTURES, REGIONS, 2048), np.float32)
    gallery = unit_rows(200, DIM)
    expected, _ = zip(*search_worker(gallery, 5, 1)(list(encoder.encode(regions))), strict=True)
    stages = [
        Stage("encode", [encode_worker(encoder, 1)] * 3, cap=4),
        Stage("search", [search_worker(gallery, 5, 1)] * 2, cap=4),
    ]
    with watchdog(), Pipeline(stages) as pipeline:
        for outcome in pipeline.run(regions):
            np.testing.assert_allclose(outcome.value[0], expected[outcome.index], atol=1e-5)


def test_the_first_use_of_the_kernels_from_many_threads() -> None:
    _core.force_isa(_core.available_isas()[-1])
    names: list[str] = []
    barrier = threading.Barrier(4)

    def ask() -> None:
        barrier.wait()
        names.append(_core.isa())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names) == {_core.isa()}
