"""What ``bench pipeline`` measures: a stand-in accelerator with a real encoder; the CPU alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from refine_itr import _core
from refine_itr.assembly import DETECT, ENCODE, SEARCH, encode_worker, stages_of
from refine_itr.bench.paper_model import paper_encoder, random_regions
from refine_itr.bench.pipeline import Case
from refine_itr.bench.stand_in import DISTINCT, features_of, stand_in_chips
from refine_itr.index import Index, search_worker
from refine_itr.model import load
from refine_itr.pipeline import BatchFunction
from refine_itr.planning import BatchTime, Goal, Plan, Profile, StageOption, make_plan
from refine_itr.profiling import (
    encoding_candidates,
    measure,
    profile_model,
    search_candidates,
    unit_rows,
)

GALLERY = 1000  # sentences, as in the paper's time for retrieval
_K = 10
_GOAL = Goal("max-throughput")
_PAPER_BATCH = 24


def stand_in_case(*, chips: int, chip_s: float, dim: int, threads: int) -> Case:
    """Returns chips that only take their time, and a real encoder and search.

    Args:
        chips: Number of stand-in chips.
        chip_s: Seconds that a chip takes for one picture.
        dim: D of the encoder, which is of the paper's size.
        threads: CPU threads; 0 means all cores.
    """
    cores = threads or _core.max_threads()
    encoder = paper_encoder(dim, cores)
    gallery = unit_rows(GALLERY, dim)
    chip = StageOption("stand-in", 0, BatchTime(0.0, chip_s), chips, (1,))
    cpu = measure(
        [
            *encoding_candidates(encoder, list(random_regions(DISTINCT)), cores),
            *search_candidates(gallery, cores),
        ],
        cores,
    )
    profile = Profile(cores, {DETECT: (chip,), **cpu.stages})
    plan = make_plan(profile, _GOAL)
    work: dict[str, list[BatchFunction]] = {
        DETECT: stand_in_chips(plan.stage(DETECT).workers, chip_s),
        ENCODE: [encode_worker(encoder, plan.stage(ENCODE).threads)] * plan.stage(ENCODE).workers,
        SEARCH: [search_worker(gallery, _K, plan.stage(SEARCH).threads)]
        * plan.stage(SEARCH).workers,
    }
    expected = [
        search_worker(gallery, _K, 1)(list(encoder.encode(features_of(item)[None])))[0]
        for item in range(DISTINCT)
    ]

    def check(item: int, found: Any) -> None:
        np.testing.assert_allclose(found[0], expected[item % DISTINCT][0], atol=1e-4)

    return Case(plan, stages_of(plan, work), range(10 * DISTINCT), check, _PAPER_BATCH)


@contextmanager
def cpu_case(
    model: str, pictures: Sequence[bytes], plan: Path | None, threads: int
) -> Iterator[Case]:
    """Gives the whole way from JPEG bytes to ranked sentences, on the CPU alone.

    Args:
        model: "default" or a bundle's folder.
        pictures: Encoded photographs.
        plan: A plan's file; None measures a profile and plans for the most throughput.
        threads: CPU threads; 0 means all cores.
    """
    if plan is None:
        profile = profile_model(model, pictures, device="cpu", threads=threads, gallery=GALLERY)
        made = make_plan(profile, _GOAL)
    else:
        made = Plan.load(plan)
    with load(model, threads=threads, plan=made) as loaded:
        index = Index(loaded)
        index.add_texts(f"a photograph number {number}" for number in range(GALLERY))
        expected = [index.search(picture, _K) for picture in pictures]
        place = {picture: i for i, picture in enumerate(pictures)}

        def check(item: bytes, found: Any) -> None:
            wanted = [hit.score for hit in expected[place[item]]]
            np.testing.assert_allclose([hit.score for hit in found], wanted, atol=1e-4)

        yield Case(made, index.stages(_K, among="texts"), pictures, check, _PAPER_BATCH)
