"""Finished runs as the paper's tables: a line a model, and what became of each claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import mean, stdev
from typing import Any

from refine_itr.reproduction import paper
from refine_itr.reproduction.one_run import Row
from refine_itr.reproduction.settings import LIGHT, VSRN

Timings = Mapping[str, Mapping[str, float]]
"""By ``model_name``."""

_KEYS = ("r1", "r5", "r10")


def model_name(graph: str, dim: int) -> str:
    """Name of a model, whatever its seed."""
    return f"{graph}-d{dim}"


def model_lines(rows: Sequence[Row], timings: Timings) -> list[Row]:
    """A line for each graph and D, recalls averaged over the seeds; largest D first."""

    def order(row: Row) -> tuple[int, bool, str]:
        return -row["dim"], row["graph"] != VSRN, row["graph"]

    groups = groupby(sorted(rows, key=order), key=lambda row: (row["graph"], row["dim"]))
    return [_line(graph, dim, list(group), timings) for (graph, dim), group in groups]


def _line(graph: str, dim: int, rows: list[Row], timings: Timings) -> Row:
    rsums = [row["recalls"]["rsum"] for row in rows]
    return {
        "graph": graph,
        "dim": dim,
        "seeds": len(rows),
        **{direction: _mean_recalls(rows, direction) for direction in ("i2t", "t2i")},
        "rsum": round(mean(rsums), 2),
        "rsum_spread": _spread(rsums),
        **timings[model_name(graph, dim)],
        "parameters": rows[0]["parameters"],
        "weights_mib": rows[0]["weights_mib"],
    }


def _mean_recalls(rows: list[Row], direction: str) -> list[float]:
    return [round(mean(row["recalls"][direction][key] for row in rows), 2) for key in _KEYS]


def _spread(values: Sequence[float]) -> float | None:
    """The standard deviation over seeds, None for a single one."""
    return round(stdev(values), 2) if len(values) > 1 else None


def pair_findings(rows: Sequence[Row], timings: Timings) -> list[dict[str, Any]]:
    """Table 1's claim at each D: as good as VSRN-GCN, and about 1.6 times as fast.

    The mean of the six recalls counts, paired by seed.
    """
    return [_pair(dim, pairs, timings) for dim, pairs in _pairs(rows)]


def _pairs(rows: Sequence[Row]) -> Iterator[tuple[int, list[tuple[Row, Row]]]]:
    found = {(row["graph"], row["dim"], row["seed"]): row for row in rows}
    for dim in sorted({row["dim"] for row in rows}, reverse=True):
        seeds = sorted(seed for graph, d, seed in found if graph == LIGHT and d == dim)
        yield dim, [(found[LIGHT, dim, seed], found[VSRN, dim, seed]) for seed in seeds]


def _pair(dim: int, pairs: list[tuple[Row, Row]], timings: Timings) -> dict[str, Any]:
    gains = [(_mean_recall(light) - _mean_recall(vsrn)) for light, vsrn in pairs]
    light_ms, vsrn_ms = (timings[model_name(graph, dim)] for graph in (LIGHT, VSRN))
    gain = mean(gains)
    ratio = vsrn_ms["as_written_ms"] / light_ms["as_written_ms"]
    return {
        "dim": dim,
        "seeds": len(pairs),
        "recall_gain": round(gain, 2),
        "recall_gain_spread": _spread(gains),
        "recall_claim_holds": gain >= -paper.ONE_POINT,
        "speed_ratio_as_written": round(ratio, 2),
        "speed_ratio_folded": round(vsrn_ms["folded_ms"] / light_ms["folded_ms"], 2),
        "speed_claim_holds": ratio >= paper.SPEED_RATIO * (1 - paper.SPEED_TOLERANCE),
    }


def _mean_recall(row: Row) -> float:
    return float(row["recalls"]["rsum"]) / 6


def paper_pair() -> dict[str, float]:
    """The two figures of ``pair_findings`` in the paper's own Table 1."""
    vsrn, light = paper.TABLE1
    return {
        "dim": light.dim,
        "recall_gain": round((light.rsum - vsrn.rsum) / 6, 2),
        "speed_ratio_as_written": round(vsrn.encode_ms / light.encode_ms, 2),
    }


def size_findings(
    lines: Sequence[Row], keys: Sequence[str] = ("weights_mib", "as_written_ms", "folded_ms")
) -> list[dict[str, Any]]:
    """Table 3's claim: what each smaller D saves and costs against the largest.

    Args:
        lines: With "dim", "rsum" and ``keys``.
        keys: Of which the share saved is told, in percent.
    """
    largest, *smaller = sorted(lines, key=lambda line: -line["dim"])
    return [
        {
            "dim": line["dim"],
            "against": largest["dim"],
            "recall_lost": round((largest["rsum"] - line["rsum"]) / 6, 2),
            "saved": {key: round(100 * (1 - line[key] / largest[key]), 1) for key in keys},
        }
        for line in smaller
    ]


def paper_sizes() -> list[dict[str, Any]]:
    """The same for the paper's own Table 3."""
    lines = [row.to_json() for row in paper.TABLE3]
    return size_findings(lines, ("weights_mib", "encode_ms"))
