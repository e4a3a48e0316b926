"""Our encoders beside other libraries, given the paper's equations and given our folded graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Protocol

import numpy as np

from refine_itr.bench import native
from refine_itr.bench.arrays import Array, encode_images, encode_texts
from refine_itr.bench.checking import TOLERANCES, check_vectors
from refine_itr.bench.comparison import Bench
from refine_itr.bench.costs import image_multiply_adds, text_multiply_adds
from refine_itr.bench.equations import Function, ImageWork, Ops, image_encoder
from refine_itr.bench.limits import arithmetic_probe, timed_row
from refine_itr.bench.paper_model import (
    FEATURES,
    REGIONS,
    VOCABULARY,
    WORD_DIM,
    paper_config,
    random_regions,
    random_weights,
)
from refine_itr.bench.report import OURS, Baseline, Row, Work
from refine_itr.bench.sentences import TextWork, text_work
from refine_itr.bench.timing import Call
from refine_itr.types import FloatArray, Precision

PEERS = ("pytorch", "onnx_runtime", "openvino_cpu", "numpy_blas")
BASELINES: tuple[Baseline, ...] = ("as-written", "folded")

_TEXT_DIMS = (512, 1024)
# Who accepts a narrow precision accepts a wider one that is faster.
_COMPETING: dict[Precision, tuple[Precision, ...]] = {
    "fp32": ("fp32",),
    "bf16": ("bf16", "fp32"),
    "int8": ("int8", "bf16", "fp32"),
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of the encoders' work.

    Attributes:
        dims: D of the image encoders.
        text_dims: D of the text encoder.
        batches: Images, or sentences, of a call.
        regions: K.
        features: C.
        vocabulary: Words.
    """

    dims: Sequence[int] = (512, 1024, 2048)
    text_dims: Sequence[int] = _TEXT_DIMS
    batches: Sequence[int] = (24, 1)
    regions: int = REGIONS
    features: int = FEATURES
    vocabulary: int = VOCABULARY


QUICK_SIZES = Sizes((32,), (32,), (2,), regions=6, features=40, vocabulary=50)


class EncoderPeer(Protocol):
    """A module of ``refine_itr.bench.peers`` that has encoders."""

    NAME: str
    PRECISIONS: tuple[str, ...]

    def array_call(
        self, build: Callable[[Ops], Function], x: FloatArray, precision: Precision, threads: int
    ) -> Call | None:
        """Returns a call of the function that ``build`` makes of operations.

        None where it would compute nothing in that precision.
        """

    def text_call(
        self, work: TextWork, baseline: Baseline, precision: Precision, threads: int
    ) -> Call | None:
        """Returns a call that embeds the batch, or None as above."""


@dataclass(frozen=True)
class Task:
    """One encoder, D and batch.

    Attributes:
        stage: Its name in the rows.
        dim: D.
        batch: Images or sentences.
        item: "an image" or "a sentence".
        multiply_adds: Of the whole batch, folded.
        expected: The reference's embeddings (batch, D).
        ours: precision -> a call.
        theirs: (baseline, peer, precision) -> a call, or None.
    """

    stage: str
    dim: int
    batch: int
    item: str
    multiply_adds: int
    expected: Array
    ours: Callable[[Precision], Call]
    theirs: Callable[[Baseline, EncoderPeer, Precision], Call | None]


def compare_encoders(tasks: Iterable[Task], bench: Bench) -> Iterator[Row]:
    """Checks and times, one row after the other.

    Args:
        tasks: What to encode.
        bench: The machine, the peers and the effort.

    Raises:
        WrongAnswerError: An answer is not the reference's.
    """
    for task in tasks:
        for precision, baseline in product(bench.precisions, BASELINES):
            theirs = partial(task.theirs, baseline)
            calls = checked_calls(
                task.ours(precision), bench.peers, precision, theirs, task.expected
            )
            probe = arithmetic_probe(task.multiply_adds, precision, bench.threads, bench.effort)
            yield timed_row(_work(task, precision, baseline), calls, [probe], bench.effort)


def _work(task: Task, precision: Precision, baseline: Baseline) -> Work:
    shape = {"dim": task.dim, "batch": task.batch}
    return Work(task.stage, shape, precision, baseline, task.batch, task.item)


def checked_calls(
    ours: Call,
    peers: Sequence[EncoderPeer],
    precision: Precision,
    theirs: Callable[[EncoderPeer, Precision], Call | None],
    expected: Array,
) -> dict[str, Call]:
    """Returns our call and those that compete with it, by name, when all are right.

    Args:
        ours: Our call.
        peers: Those that are there.
        precision: Of our arithmetic.
        theirs: (peer, its precision) -> a call, or None.
        expected: Of all of them.

    Raises:
        WrongAnswerError: One is further from it than its precision explains.
    """
    calls = {OURS: ours}
    check_vectors(calls, expected, TOLERANCES[precision])
    for used in _COMPETING[precision]:
        made = {
            f"{peer.NAME} {used}": theirs(peer, used) for peer in peers if used in peer.PRECISIONS
        }
        found = {name: call for name, call in made.items() if call is not None}
        check_vectors(found, expected, TOLERANCES[used])
        calls |= found
    return calls


def image_tasks(graph: str, sizes: Sizes, threads: int) -> Iterator[Task]:
    """Yields the image encoder with one kind of graph layer in all sizes."""
    for dim in sizes.dims:
        config = paper_config(dim, graph, regions=sizes.regions, features=sizes.features)
        weights = random_weights(config, "image")
        for batch in sizes.batches:
            regions = random_regions(batch, regions=sizes.regions, features=sizes.features)
            yield _image_task(ImageWork(config, weights, regions), threads)


def text_tasks(sizes: Sizes, threads: int) -> Iterator[Task]:
    """Yields the text encoder in all sizes."""
    for dim in sizes.text_dims:
        for batch in sizes.batches:
            yield _text_task(text_work(dim, batch, sizes.vocabulary), threads)


def _image_task(work: ImageWork, threads: int) -> Task:
    image, dim, batch = work.config.image, work.config.dim, len(work.regions)

    def ours(precision: Precision) -> Call:
        return native.image_call(work, precision, threads)

    def theirs(baseline: Baseline, peer: EncoderPeer, precision: Precision) -> Call | None:
        return peer.array_call(
            lambda ops: image_encoder(ops, work, baseline), work.regions, precision, threads
        )

    multiply_adds = batch * image_multiply_adds(image, dim, "folded")
    expected = encode_images(work, "as-written", np.float64)()
    stage = f"{image.graph} encoder"
    return Task(stage, dim, batch, "an image", multiply_adds, expected, ours, theirs)


def _text_task(work: TextWork, threads: int) -> Task:
    def ours(precision: Precision) -> Call:
        return native.text_call(work, precision, threads)

    def theirs(baseline: Baseline, peer: EncoderPeer, precision: Precision) -> Call | None:
        return peer.text_call(work, baseline, precision, threads)

    multiply_adds = text_multiply_adds(len(work.tokens), WORD_DIM, work.dim, "folded")
    expected = encode_texts(work, "as-written", np.float64)()
    batch = len(work.lengths)
    return Task(
        "text encoder", work.dim, batch, "a sentence", multiply_adds, expected, ours, theirs
    )
