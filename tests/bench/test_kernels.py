"""Comparisons of the kernels, and our encoder without folding."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from refine_itr.bench.arrays import encode_images
from refine_itr.bench.checking import check_vectors
from refine_itr.bench.comparison import open_bench
from refine_itr.bench.encoders import PEERS, QUICK_SIZES
from refine_itr.bench.equations import ImageWork
from refine_itr.bench.kernels import compare_kernels, kernels_of
from refine_itr.bench.native import image_call, image_call_as_written
from refine_itr.bench.paper_model import paper_config, random_regions, random_weights
from refine_itr.errors import WrongAnswerError


@pytest.mark.parametrize("graph", ["light-gcn", "vsrn-gcn"])
def test_our_kernels_as_written_give_the_reference(graph: str) -> None:
    config = paper_config(40, graph, regions=5, features=30)
    regions = random_regions(3, regions=5, features=30)
    work = ImageWork(config, random_weights(config, "image"), regions)
    calls = {
        "as written": image_call_as_written(work, "fp32", 2),
        "folded": image_call(work, "fp32", 2),
    }
    check_vectors(calls, encode_images(work, "as-written", np.float64)(), 1e-5)
    first = calls["as written"]().copy()
    np.testing.assert_array_equal(calls["as written"](), first)


def test_rows() -> None:
    bench = open_bench(PEERS, threads=1, wanted=["fp32"], quick=True)
    kernels = list(kernels_of(QUICK_SIZES))
    before = [kernel.x.copy() for kernel in kernels]
    rows = list(compare_kernels(kernels, bench))
    assert [(row.work.stage, row.work.baseline) for row in rows] == [
        ("linear", "as-written"),
        ("gru", "as-written"),
        ("l2norm over the regions", "as-written"),
        ("light-gcn layer", "as-written"),
        ("light-gcn layer", "folded"),
        ("vsrn-gcn layer", "as-written"),
        ("vsrn-gcn layer", "folded"),
    ]
    for row in rows:
        assert set(row.peers) == {f"{peer.NAME} fp32" for peer in bench.peers}
    for kernel, x in zip(kernels, before, strict=True):
        np.testing.assert_array_equal(kernel.x, x)  # nobody writes into the others' input


def test_a_wrong_kernel_stops_it() -> None:
    bench = open_bench((), threads=1, wanted=["fp32"], quick=True)
    linear = next(kernels_of(QUICK_SIZES))
    wrong = replace(linear, ours=lambda kernels: lambda x: linear.ours(kernels)(x) + 1)
    with pytest.raises(WrongAnswerError, match="ours: expected vectors within"):
        next(compare_kernels([wrong], bench))
    small = replace(linear, ours=lambda kernels: lambda x: linear.ours(kernels)(x)[:1])
    with pytest.raises(WrongAnswerError, match=r"got \(1, 6, 32\)"):
        next(compare_kernels([small], bench))


def test_the_command(run) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(run("bench", "kernels", "--quick", "--json", "--dim", 16).out)
    assert {row["dim"] for row in data["rows"]} == {16}
    assert "gru, milliseconds a call" in run("bench", "kernels", "--quick").out
