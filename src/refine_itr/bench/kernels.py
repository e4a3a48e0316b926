"""Our kernels one by one beside other libraries', on the shapes of the image encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from refine_itr.bench.arrays import array_call
from refine_itr.bench.comparison import Bench
from refine_itr.bench.costs import gru_multiply_adds, layer_multiply_adds
from refine_itr.bench.encoders import BASELINES, EncoderPeer, Sizes, checked_calls
from refine_itr.bench.equations import GRU_WEIGHTS, Function, ImageWork, Ops, graph_layer
from refine_itr.bench.limits import Probe, arithmetic_probe, reading_probe, timed_row
from refine_itr.bench.native import Function as OurFunction
from refine_itr.bench.native import Kernels
from refine_itr.bench.paper_model import paper_config, random_regions, random_weights
from refine_itr.bench.report import Baseline, Row, Work
from refine_itr.bench.timing import Call
from refine_itr.types import FloatArray, Precision

_LAYER = "image.graph.0"


@dataclass(frozen=True)
class Kernel:
    """One kernel on one input.

    Attributes:
        stage: Its name in the rows.
        dim: D.
        x: The input, float32 (b, K, n).
        baseline: What the peers compute, and we: the layers exist in both forms.
        multiply_adds: Of the call; None where reading the input is the limit.
        ours: Makes our function.
        theirs: Makes a peer's.
    """

    stage: str
    dim: int
    x: FloatArray
    baseline: Baseline
    multiply_adds: int | None
    ours: Callable[[Kernels], OurFunction]
    theirs: Callable[[Ops], Function]


def compare_kernels(kernels: Iterable[Kernel], bench: Bench) -> Iterator[Row]:
    """Checks and times, one row after the other.

    Args:
        kernels: What to compare.
        bench: The machine, the peers and the effort.

    Raises:
        WrongAnswerError: An answer is not the reference's.
    """
    for kernel in kernels:
        expected = array_call(kernel.theirs, kernel.x, np.float64)()
        for precision in bench.precisions if kernel.multiply_adds else ("fp32",):
            theirs = partial(_theirs, kernel, bench.threads)
            ours = _ours(kernel, precision, bench.threads)
            calls = checked_calls(ours, bench.peers, precision, theirs, expected)
            probe = _probe(kernel, precision, bench)
            yield timed_row(_work(kernel, precision), calls, [probe], bench.effort)


def _ours(kernel: Kernel, precision: Precision, threads: int) -> Callable[[], FloatArray]:
    batch, regions, _ = kernel.x.shape
    function = kernel.ours(Kernels(batch, regions, precision, threads))
    return lambda: function(kernel.x)


def _theirs(kernel: Kernel, threads: int, peer: EncoderPeer, precision: Precision) -> Call | None:
    return peer.array_call(kernel.theirs, kernel.x, precision, threads)


def _work(kernel: Kernel, precision: Precision) -> Work:
    shape = {"dim": kernel.dim, "batch": len(kernel.x)}
    return Work(kernel.stage, shape, precision, kernel.baseline, 1, "a call")


def _probe(kernel: Kernel, precision: Precision, bench: Bench) -> Probe:
    if kernel.multiply_adds is None:
        return reading_probe(kernel.x.nbytes, bench.threads)
    return arithmetic_probe(kernel.multiply_adds, precision, bench.threads, bench.effort)


def kernels_of(sizes: Sizes) -> Iterator[Kernel]:
    """Yields all kernels in all sizes, a stage after the other."""
    works = [
        _work_of(graph, dim, batch, sizes)
        for graph in ("light-gcn", "vsrn-gcn")
        for dim in sizes.dims
        for batch in sizes.batches
    ]
    light = [work for work in works if work.config.image.graph == "light-gcn"]
    for make in (_fc, _gru, _unit):
        yield from (make(work) for work in light)
    for work in works:
        yield from (_layer(work, baseline) for baseline in BASELINES)


def _work_of(graph: str, dim: int, batch: int, sizes: Sizes) -> ImageWork:
    config = paper_config(dim, graph, regions=sizes.regions, features=sizes.features, layers=1)
    regions = random_regions(batch, regions=sizes.regions, features=sizes.features)
    return ImageWork(config, random_weights(config, "image"), regions)


def _values(work: ImageWork) -> FloatArray:
    """Returns what the first layer gets: float32 (b, K, D), elements near 1."""
    batch, regions, _ = work.regions.shape
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, regions, work.config.dim), np.float32)


def _fc(work: ImageWork) -> Kernel:
    weight, bias = work.weights["image.fc.weight"], work.weights["image.fc.bias"]
    return Kernel(
        "linear",
        work.config.dim,
        work.regions,
        "as-written",
        work.regions.size * len(weight),
        lambda kernels: kernels.linear(weight, bias),
        lambda ops: ops.linear(weight, bias),
    )


def _gru(work: ImageWork) -> Kernel:
    weights = [work.weights[f"image.gru.{kind}"] for kind in GRU_WEIGHTS]
    batch, dim = len(work.regions), work.config.dim
    return Kernel(
        "gru",
        dim,
        _values(work),
        "as-written",
        batch * gru_multiply_adds(work.config.image.regions, dim),
        lambda kernels: kernels.gru(*weights),
        lambda ops: ops.gru(*weights),
    )


def _unit(work: ImageWork) -> Kernel:
    return Kernel(
        "l2norm over the regions",
        work.config.dim,
        _values(work),
        "as-written",
        None,
        lambda kernels: kernels.unit(work.config.dim),
        lambda ops: ops.unit,
    )


def _layer(work: ImageWork, baseline: Baseline) -> Kernel:
    image, dim = work.config.image, work.config.dim
    return Kernel(
        f"{image.graph} layer",
        dim,
        _values(work),
        baseline,
        len(work.regions) * layer_multiply_adds(image, dim, baseline),
        lambda kernels: kernels.layer(image.graph, baseline, work.weights, _LAYER),
        lambda ops: graph_layer(ops, work, baseline, 0),
    )
