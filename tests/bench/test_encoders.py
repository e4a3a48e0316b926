"""Comparisons of the encoders: what the report says, and what stops it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from refine_itr.bench import encoders, native, peers
from refine_itr.bench.arrays import encode_images, encode_texts
from refine_itr.bench.checking import TOLERANCES, check_vectors
from refine_itr.bench.comparison import Bench, open_bench
from refine_itr.bench.costs import image_multiply_adds, text_multiply_adds
from refine_itr.bench.encoders import (
    BASELINES,
    PEERS,
    QUICK_SIZES,
    compare_encoders,
    image_tasks,
    text_tasks,
)
from refine_itr.bench.equations import ImageWork, image_encoder
from refine_itr.bench.limits import Probe
from refine_itr.bench.paper_model import paper_config, random_regions, random_weights
from refine_itr.bench.sentences import text_work
from refine_itr.errors import InvalidInputError, WrongAnswerError
from refine_itr.types import PRECISIONS


@pytest.fixture(scope="module")
def bench() -> Bench:
    return open_bench(PEERS, threads=2, wanted=None, quick=True)


def image_work(graph: str, dim: int = 24) -> ImageWork:
    config = paper_config(dim, graph, regions=5, features=30)
    regions = random_regions(3, regions=5, features=30)
    return ImageWork(config, random_weights(config, "image"), regions)


@pytest.mark.parametrize("graph", ["light-gcn", "vsrn-gcn"])
def test_folding_changes_no_answer(graph: str) -> None:
    written, folded = (encode_images(image_work(graph), b, np.float64)() for b in BASELINES)
    np.testing.assert_allclose(folded, written, atol=1e-6)  # folded weights are float32
    np.testing.assert_allclose(np.linalg.norm(written, axis=1), 1)
    work = text_work(24, 7, 40)
    texts = [encode_texts(work, b, np.float64)() for b in BASELINES]
    np.testing.assert_allclose(*texts, atol=1e-6)


@pytest.mark.parametrize("graph", ["light-gcn", "vsrn-gcn"])
def test_every_layer_matters_to_the_check(graph: str) -> None:
    work = image_work(graph, 256)
    weights = dict(work.weights)
    weights["image.graph.3.r.weight"] = 0 * weights["image.graph.3.r.weight"]
    expected = encode_images(work, "as-written", np.float64)()
    without = encode_images(replace(work, weights=weights), "as-written", np.float64)()
    assert np.linalg.norm(without - expected, axis=1).min() > 0.05  # the loosest tolerance


def test_sentences_are_as_long_as_captions() -> None:
    work = text_work(4, 2000, 40)
    assert set(work.lengths) == set(range(6, 17))
    assert 10 < work.lengths.mean() < 11
    assert (work.padded.sum(axis=1) == np.add.reduceat(work.tokens, work.offsets[:-1])).all()


def test_multiply_adds_are_the_models() -> None:
    image = paper_config(2048).image
    vsrn = paper_config(2048, "vsrn-gcn").image
    counted = [
        image_multiply_adds(image, 2048, "folded"),
        image_multiply_adds(image, 2048, "as-written"),
        image_multiply_adds(vsrn, 2048, "folded"),
        image_multiply_adds(vsrn, 2048, "as-written"),
    ]
    assert [round(n / 1e9, 2) for n in counted] == [1.68, 2.29, 2.29, 3.49]
    assert text_multiply_adds(10, 300, 512, "folded") == 10 * 3 * 512 * 512


def test_rows(bench: Bench) -> None:
    tasks = [*image_tasks("light-gcn", QUICK_SIZES, 2), *text_tasks(QUICK_SIZES, 2)]
    rows = list(compare_encoders(tasks, bench))
    assert len(rows) == 2 * len(PRECISIONS) * len(BASELINES)
    for row in rows:
        data = row.to_json()
        names = {f"{p.NAME} {row.work.precision}" for p in bench.peers
                 if row.work.precision in p.PRECISIONS}  # fmt: skip
        # ONNX Runtime has nothing to quantise in some of the forms.
        assert names <= set(row.peers) or row.work.precision == "int8"
        assert data["peer_ms"] == min(row.peers.values())
        assert row.ratio == row.peers[str(row.fastest)] / row.ours_ms
        assert row.ours_ms <= row.median_ms("ours")
        assert data["batch"] == 2


def test_a_limit_is_a_yardstick(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[float] = []

    def slow_probe(multiply_adds: float, *_: object) -> Probe:
        probes.append(multiply_adds)
        return Probe(lambda: time.sleep(0.01), 3.0)

    monkeypatch.setattr(encoders, "arithmetic_probe", slow_probe)
    few = replace(bench, precisions=("fp32",), peers=())
    (row, _) = compare_encoders(text_tasks(QUICK_SIZES, 2), few)
    words = text_work(32, 2, 50).offsets[-1]
    assert probes == [words * 3 * 32 * 32] * 2
    assert 15 <= row.limit_ms < 30  # 10 ms, three times the work, two sentences
    assert row.fraction_of_limit == row.limit_ms / row.ours_ms
    assert (row.fastest, row.ratio, row.to_json()["peer_ms"]) == (None, None, None)


@pytest.mark.parametrize("wrong", [1.01, np.nan])
def test_a_wrong_answer_stops_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    right = native.text_call

    def planted(*args: object) -> object:
        call = right(*args)  # type: ignore[arg-type]
        return lambda: call() * wrong

    monkeypatch.setattr(encoders.native, "text_call", planted)
    with pytest.raises(WrongAnswerError, match="ours: expected vectors within"):
        next(compare_encoders(text_tasks(QUICK_SIZES, 2), bench))


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> object:
        raise ImportError(f"no {name}")

    monkeypatch.setattr(peers, "import_module", import_module)
    found, missing = peers.open_peers(["openvino_cpu"])
    assert found == []
    assert missing == {"openvino_cpu": "no refine_itr.bench.peers.openvino_cpu"}


def test_int8_of_onnx_runtime_is_of_its_products() -> None:
    (peer,), _ = peers.open_peers(["onnx_runtime"])
    work = image_work("light-gcn")
    call = peer.array_call(lambda ops: image_encoder(ops, work, "folded"), work.regions, "int8", 1)
    expected = encode_images(work, "as-written", np.float64)()
    check_vectors({"int8": call}, expected, TOLERANCES["int8"])
    with pytest.raises(WrongAnswerError):
        check_vectors({"int8": call}, expected, TOLERANCES["fp32"])
    assert peer.text_call(text_work(16, 2, 30), "as-written", "int8", 1) is None  # a GRU node only


def test_torch_compile_is_a_peer_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    module = "pytorch_compiled"
    monkeypatch.delitem(sys.modules, f"{peers.__name__}.{module}", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", lambda function: 1 / 0)
        assert peers.open_peers([module])[1] == {
            module: "torch.compile does not work here: ZeroDivisionError"
        }
        patch.setattr(torch, "compile", lambda function, dynamic=None: function)
        ((peer,), missing) = peers.open_peers([module])
        assert missing == {}
        work, texts = image_work("vsrn-gcn"), text_work(16, 3, 30)
        images = peer.array_call(
            lambda ops: image_encoder(ops, work, "folded"), work.regions, "fp32", 1
        )
        check_vectors({"": images}, encode_images(work, "as-written", np.float64)(), 1e-5)
        sentences = {"": peer.text_call(texts, "folded", "fp32", 1)}
        check_vectors(sentences, encode_texts(texts, "as-written", np.float64)(), 1e-5)


def test_precisions_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="expected fp32, bf16, int8; got 'fp8'"):
        open_bench((), threads=1, wanted=["fp8"], quick=True)
    assert open_bench((), threads=1, wanted=["fp32"], quick=True).precisions == ("fp32",)


def test_the_command(run) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(run("bench", "encoders", "--quick", "--json", "--threads", 1).out)
    assert data["machine"]["threads"] == 1
    assert data["limits"].keys() == {"fp32_gops", "bf16_gops", "int8_gops", "read_gb_per_s"}
    assert {row["stage"] for row in data["rows"]} == {
        "light-gcn encoder", "vsrn-gcn encoder", "text encoder",
    }  # fmt: skip
    shown = run("bench", "encoders", "--quick", "--precision", "fp32", "--dim", 16)
    assert shown.code == 0
    assert "text encoder, milliseconds a sentence" in shown.out
    assert "as-written" in shown.out
    assert run("bench", "encoders", "--precision", "fp8").code == 2
