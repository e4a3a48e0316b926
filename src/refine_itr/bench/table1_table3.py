"""The paper's Tables 1 and 3 (times and sizes), and this machine beside them.

The paper does not give the batch of these times, nor whether those of Table 3 include the text.
Here a time is the whole image encoder's (fc, graph layers, GRU) for one image of a batch. "As
written" and "folded" are both our own kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refine_itr.bench import native
from refine_itr.bench.arrays import encode_images
from refine_itr.bench.checking import TOLERANCES, check_vectors
from refine_itr.bench.encoders import Sizes
from refine_itr.bench.equations import ImageWork
from refine_itr.bench.limits import BYTES
from refine_itr.bench.paper_model import VOCABULARY, paper_config, random_regions, random_weights
from refine_itr.bench.timing import Effort, Times, interleave
from refine_itr.bundle.schema import expected_weights
from refine_itr.encoding.folding import Weights
from refine_itr.types import Precision

_TABLE1_DIM = 2048  # recall is that of Table 3's row for 2048
_TABLE1_MS = {"vsrn-gcn": 44.6, "light-gcn": 27.8}
_TABLE3_MS = {2048: 48.4, 1024: 13.1, 512: 6.1}
_TABLE3_MB = {2048: 433.2, 1024: 121.5, 512: 40.6}


@dataclass(frozen=True)
class Setting:
    """How our code is measured.

    Attributes:
        precision: Of the weights.
        threads: Threads of a call.
        effort: How much is timed.
    """

    precision: Precision
    threads: int
    effort: Effort


Line = dict[str, Any]


def table1(sizes: Sizes, setting: Setting) -> Iterator[Line]:
    """Yields a row for each D, batch and kind of graph layer.

    Raises:
        WrongAnswerError: An embedding is not the reference's.
    """
    for dim in sizes.dims:
        for graph in ("vsrn-gcn", "light-gcn"):
            published = _TABLE1_MS[graph] if dim == _TABLE1_DIM else None
            for row in _measured(graph, dim, sizes, setting):
                yield {"model": graph, "dim": dim, "paper_ms": published, **row}


def table3(sizes: Sizes, setting: Setting) -> Iterator[Line]:
    """Yields a row for each D and batch of the Light-GCN model, with the sizes of its weights.

    Raises:
        WrongAnswerError: An embedding is not the reference's.
    """
    for dim in sizes.dims:
        weights = weight_bytes(dim, setting.precision)
        for row in _measured("light-gcn", dim, sizes, setting):
            yield {
                "dim": dim,
                "paper_ms": _TABLE3_MS.get(dim),
                "paper_mb": _TABLE3_MB.get(dim),
                **row,
                **{f"{name}_mb": count / 1e6 for name, count in weights.items()},
                **{f"{name}_mib": count / 2**20 for name, count in weights.items()},
            }


def weight_bytes(dim: int, precision: Precision, vocabulary: int = VOCABULARY) -> dict[str, int]:
    """Returns bytes of both encoders' weights.

    "vsrn": fp32, with theta and phi, as trained: what the paper's column counts. "light_gcn":
    fp32, without them. "folded": what our Light-GCN keeps in memory, matrices in ``precision``
    and the rest in fp32: a row of gate inputs for each word is most of what it has more.

    Args:
        dim: D.
        precision: Of the folded matrices.
        vocabulary: Words.
    """
    floats = {
        graph: sum(
            int(np.prod(shape))
            for shape in expected_weights(
                paper_config(dim, graph, vocabulary=vocabulary, batch_norm=True)
            ).values()
        )
        for graph in ("vsrn-gcn", "light-gcn")
    }
    image = paper_config(dim).image
    matrices = image.features * dim + (image.layers + 9) * dim * dim  # two GRUs, one W_ih
    vectors = (1 + 2 * image.layers + 9) * dim + image.layers * image.regions**2
    table = vocabulary * 3 * dim
    folded = BYTES[precision] * matrices + 4 * (vectors + table)
    return {
        "vsrn": 4 * floats["vsrn-gcn"],
        "light_gcn": 4 * floats["light-gcn"],
        "folded": folded,
    }


def _measured(graph: str, dim: int, sizes: Sizes, setting: Setting) -> Iterator[Line]:
    config = paper_config(dim, graph, regions=sizes.regions, features=sizes.features)
    weights: Weights = random_weights(config, "image")
    for batch in sizes.batches:
        regions = random_regions(batch, regions=sizes.regions, features=sizes.features)
        times = _times(ImageWork(config, weights, regions), setting)
        yield {"batch": batch, "precision": setting.precision} | {
            f"{name.replace('-', '_')}_{key}": value / batch
            for name, found in times.items()
            for key, value in (("ms", found.min_ms), ("median_ms", found.median_ms))
        }


def _times(work: ImageWork, setting: Setting) -> dict[str, Times]:
    calls = {
        "as-written": native.image_call_as_written(work, setting.precision, setting.threads),
        "folded": native.image_call(work, setting.precision, setting.threads),
    }
    expected = encode_images(work, "as-written", np.float64)()
    check_vectors(calls, expected, TOLERANCES[setting.precision])
    return interleave(calls, setting.effort)
