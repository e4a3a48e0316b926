"""The paper's Table 4, and this machine beside it."""

from __future__ import annotations

from pathlib import Path

from refine_itr.assembly import DECODE, DETECT, ENCODE
from refine_itr.bench.cases import cpu_case, stand_in_case
from refine_itr.bench.pipeline import Report, measure
from refine_itr.profiling import sample_pictures

_CHIPS = 24
_CHIP_S = 0.4032  # 24 chips, 16.8 ms a picture
_DIM = 1024
_RATE = 20.0  # pictures a second that the paper's server takes

_PUBLISHED = (
    ("VSRN-GPU", 222.2, 29.2, 253.1, None, None, "paper: two GTX 2080 Ti"),
    ("Refine-ITR-GPU", 222.2, 21.3, 245.2, None, None, "paper: two GTX 2080 Ti"),
    ("Refine-ITR-Atlas", 16.8, 21.3, 39.8, 20.0, 900.0, "paper: six Atlas 300 cards, batch 24"),
)
_KEYS = ("name", "detect_ms", "reason_ms", "total_ms", "images_per_s", "delay_ms", "note")

Column = dict[str, object]


def table4(model: str, images: Path | None, *, count: int, threads: int) -> list[Column]:
    """Returns the columns: the paper's, then the two that are measured here.

    Args:
        model: Of the column for the CPU alone.
        images: Photographs for it; None makes some up.
        count: Pictures of each throughput run.
        threads: CPU threads; 0 means all cores.
    """
    columns: list[Column] = [dict(zip(_KEYS, column, strict=True)) for column in _PUBLISHED]
    pictures = sample_pictures(images)
    case = stand_in_case(chips=_CHIPS, chip_s=_CHIP_S, dim=_DIM, threads=threads)
    cards = measure(case, count=count, rates=[_RATE], arrivals=count // 2)
    note = "measured here: cards that only take the paper's time, our encoder at D = 1024"
    columns.append(_column("the same cards, ours", cards, note))
    with cpu_case(model, pictures, None, threads) as case:
        alone = measure(case, count=count, rates=[_RATE], arrivals=count // 2)
    note = f"measured here: no accelerator, model '{model}', from JPEG bytes"
    columns.append(_column("this CPU alone, ours", alone, note))
    return columns


def _column(name: str, report: Report, note: str) -> Column:
    ms = {stage: 1e3 / per_s for stage, per_s in report.alone_per_s.items()}
    return {
        "name": name,
        "detect_ms": ms.get(DECODE, 0.0) + ms[DETECT],
        "reason_ms": ms[ENCODE],
        "total_ms": 1e3 / report.images_per_s,
        "images_per_s": report.images_per_s,
        "delay_ms": report.delays[_RATE].mean,
        "note": note,
    }
