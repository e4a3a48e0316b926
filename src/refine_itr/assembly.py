"""Puts the parts of a model into a pipeline's stages, as a plan says.

decode -> detect -> encode [-> search]: what passes between them is a ``Picture``, the features of
its regions (K, C), its embedding (D,), its hits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from refine_itr.errors import InvalidInputError, PictureError
from refine_itr.pipeline import BatchFunction, BatchRecord, Overflow, Pipeline, Stage
from refine_itr.planning import CapController, Plan, PlannedStage
from refine_itr.types import FloatArray, Picture, PictureSource, RegionDetector

DECODE, DETECT, ENCODE, SEARCH = "decode", "detect", "encode", "search"

_CAP = 16


class Encoder(Protocol):
    """Regions to embeddings: ``encoding.ImageEncoder``."""

    def encode(self, regions: FloatArray, threads: int | None = None) -> FloatArray:
        """Returns float32 (n, D) of regions (n, K, C)."""


def default_plan(device: str, count: int, cores: int) -> Plan:
    """Returns the plan of a model that none was made for.

    Pictures are decoded on every core; detection, on the CPU, and encoding use all cores for one
    batch at a time, so that a single picture is quick as well.

    Args:
        device: Where the convolutions run.
        count: Accelerators of that kind; 0 for the CPU.
        cores: CPU threads to use.
    """
    detect = (0, count) if count else (cores, 1)
    stages = (
        PlannedStage(DECODE, "cpu", 1, cores, 2),
        PlannedStage(DETECT, device, *detect, _CAP),
        PlannedStage(ENCODE, "cpu", cores, 1, _CAP),
        PlannedStage(SEARCH, "cpu", 1, 1, _CAP),
    )
    return Plan("default", cores, stages)


def with_sizes(plan: Plan, sizes: tuple[int, ...]) -> Plan:
    """Returns a plan whose "detect" has the batch sizes of its devices, if it names none."""
    return replace(
        plan,
        stages=tuple(
            replace(stage, sizes=stage.sizes or sizes) if stage.name == DETECT else stage
            for stage in plan.stages
        ),
    )


def read_plan(plan: Plan | str | Path, device: str) -> Plan:
    """Returns a plan given as such or as its file.

    Raises:
        InvalidInputError: It is no plan, or is for another device than the one asked for.
    """
    made = plan if isinstance(plan, Plan) else Plan.load(Path(plan))
    planned = made.stage(DETECT).device
    if device not in ("auto", planned):
        raise InvalidInputError(
            f"device: expected {planned!r}, the plan's, or auto; got {device!r}"
        )
    return made


def start(
    plan: Plan, stages: Sequence[Stage], *, overflow: Overflow, deadline_s: float | None
) -> Pipeline:
    """Starts a pipeline whose batch caps follow what the batches really take."""
    controller = CapController(plan)
    started: list[Pipeline] = []

    def observe(record: BatchRecord) -> None:
        for pipeline in started:
            waiting = next(s.waiting for s in pipeline.stats() if s.name == record.stage)
            cap = controller.observe(record.stage, record.size, record.end - record.start, waiting)
            if cap is not None:
                pipeline.set_cap(record.stage, cap)

    pipeline = Pipeline(stages, overflow=overflow, deadline_s=deadline_s, observer=observe)
    started.append(pipeline)
    return pipeline


def picture_work(
    plan: Plan,
    decode: Callable[[PictureSource], Picture],
    detectors: Sequence[RegionDetector],
    encoder: Encoder,
) -> dict[str, list[BatchFunction]]:
    """Returns the workers of the stages from a picture to its embedding.

    Args:
        plan: Has the stages "decode", "detect" and "encode".
        decode: A source to a picture of the detectors' size.
        detectors: One for each worker of the plan's "detect".
        encoder: The image encoder.
    """
    encode = plan.stage(ENCODE)
    return {
        DECODE: [decode_worker(decode)] * plan.stage(DECODE).workers,
        DETECT: [detect_worker(detector) for detector in detectors],
        ENCODE: [encode_worker(encoder, encode.threads)] * encode.workers,
    }


def stages_of(plan: Plan, work: Mapping[str, Sequence[BatchFunction]]) -> list[Stage]:
    """Returns the stages that there is work for, in the work's order, sized as the plan says."""
    stages = []
    for name, workers in work.items():
        planned = plan.stage(name)
        stages.append(Stage(name, workers, cap=planned.cap, sizes=planned.sizes))
    return stages


def decode_worker(decode: Callable[[PictureSource], Picture]) -> BatchFunction:
    """Returns the work of "decode": an unreadable picture fails alone."""

    def run(sources: list[Any]) -> list[Any]:
        results: list[Any] = []
        for source in sources:
            try:
                results.append(decode(source))
            except PictureError as exc:
                results.append(exc)
        return results

    return run


def detect_worker(detector: RegionDetector) -> BatchFunction:
    """Returns the work of "detect" on one device."""
    return lambda pictures: list(detector.detect(pictures).features)


def encode_worker(encoder: Encoder, threads: int) -> BatchFunction:
    """Returns the work of "encode": regions (K, C) each to embeddings (D,)."""
    return lambda regions: list(encoder.encode(np.stack(regions), threads))
