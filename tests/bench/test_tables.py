"""The paper's Tables 1 and 3 with this machine's figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from refine_itr.bench import table1_table3
from refine_itr.bench.encoders import QUICK_SIZES, Sizes
from refine_itr.bench.paper_model import paper_config, random_weights
from refine_itr.bench.table1_table3 import Setting, table1, table3, weight_bytes
from refine_itr.bench.timing import QUICK
from refine_itr.encoding.folding import fold_projection, gate_table
from refine_itr.errors import WrongAnswerError

SETTING = Setting("fp32", 1, QUICK)


@pytest.mark.parametrize(("dim", "mib"), [(2048, 433.2), (1024, 121.5), (512, 40.6)])
def test_the_papers_column_is_all_of_vsrn(dim: int, mib: float) -> None:
    assert weight_bytes(dim, "fp32")["vsrn"] / 2**20 == pytest.approx(mib, abs=0.11)


def test_folded_bytes_are_those_of_the_arrays() -> None:
    config = paper_config(24, vocabulary=60)
    image, text = random_weights(config, "image"), random_weights(config, "text")
    arrays = [gate_table(text), text["text.gru.weight_hh"], text["text.gru.bias_hh"]]
    arrays += [value for name, value in image.items() if ".fc." in name or ".gru." in name]
    for layer in range(4):
        folded = fold_projection(image, f"image.graph.{layer}", batch_norm=False)
        arrays += [image[f"image.graph.{layer}.sigma"], folded.weight, folded.row_bias, folded.bias]
    assert weight_bytes(24, "fp32", 60)["folded"] == sum(array.nbytes for array in arrays)
    narrow = weight_bytes(24, "bf16", 60)["folded"]
    assert narrow < weight_bytes(24, "fp32", 60)["folded"]


def test_lines() -> None:
    lines = list(table1(QUICK_SIZES, SETTING))
    assert [(line["model"], line["paper_ms"]) for line in lines] == [
        ("vsrn-gcn", None),
        ("light-gcn", None),
    ]
    for line in lines:
        assert line["as_written_ms"] <= line["as_written_median_ms"]
        assert line["folded_ms"] <= line["folded_median_ms"]
    sizes = Sizes((512,), (512,), (1, 2), regions=4, features=16)
    lines = list(table3(sizes, SETTING))
    assert [(line["dim"], line["batch"], line["paper_ms"], line["paper_mb"]) for line in lines] == [
        (512, 1, 6.1, 40.6),
        (512, 2, 6.1, 40.6),
    ]


def test_a_wrong_answer_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = np.zeros((2, 32), np.float32)
    monkeypatch.setattr(table1_table3.native, "image_call_as_written", lambda *a: lambda: zeros)
    with pytest.raises(WrongAnswerError, match="as-written: expected vectors within"):
        next(table1(QUICK_SIZES, SETTING))


@pytest.mark.parametrize("table", ["table1", "table3"])
def test_the_commands(run, table: str) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(run("bench", table, "--quick", "--json", "--threads", 1).out)
    assert data["machine"]["threads"] == 1
    assert {row["dim"] for row in data["rows"]} == {32}
    shown = run("bench", table, "--quick", "--dim", 16)
    assert "median milliseconds an image" in shown.out
    assert ("MiB" in shown.out) == (table == "table3")
    assert run("bench", table, "--quick", "--precision", "fp8").code == 2
