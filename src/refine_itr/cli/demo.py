"""``refine-itr demo``: both directions on real photographs, with the model that is installed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from refine_itr.cli.html import Section, write_page
from refine_itr.cli.options import (
    AllowFallbackOption,
    CountOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PlanOption,
    PrecisionOption,
    ThreadsOption,
)
from refine_itr.cli.output import hit_to_json, print_json, print_line, stdout
from refine_itr.cli.samples import DISTRACTORS, sample_photographs
from refine_itr.cli.truth import Truth
from refine_itr.index import Index
from refine_itr.model import load


def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the page with the pictures.")
    ] = Path("refine-itr-demo"),
    k: CountOption = 3,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    plan: PlanOption = None,
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
    precision: PrecisionOption = "fp32",
    json: JsonOption = False,
) -> None:
    """Search the sample photographs of scikit-image and scikit-learn, both ways."""
    samples = sample_photographs()
    loaded = load(
        model,
        threads=threads,
        device=device,
        plan=plan,
        allow_fallback=allow_fallback,
        precision=precision,
    )
    index = Index(loaded)
    started = time.perf_counter()
    index.add_images(samples, progress=False)
    seconds = time.perf_counter() - started
    index.add_texts([*samples.values(), *DISTRACTORS])

    truth = Truth({(path.name, sentence) for path, sentence in samples.items()})
    queries: list[str | Path] = [*samples.values(), *samples]
    sections = [Section.of(query, index.search(query, k), truth) for query in queries]
    page = out / "index.html"
    write_page(page, "Refine-ITR demo", sections)
    found = {
        "sentence_to_photograph": _found(sections[: len(samples)]),
        "photograph_to_sentence": _found(sections[len(samples) :]),
    }
    if json:
        print_json(
            {
                "photographs": len(samples),
                "sentences": index.text_count,
                "first_hit_right": found,
                "page": str(page),
                "queries": [
                    {"query": str(s.query), "hits": [hit_to_json(hit) for hit in s.hits]}
                    for s in sections
                ],
            }
        )
        return
    _print_table("A sentence finds photographs", sections[: len(samples)])
    _print_table("A photograph finds sentences", sections[len(samples) :])
    print_line(
        f"\n{len(samples)} photographs from file to index in {seconds:.2f} s. First hit right: "
        f"{found['sentence_to_photograph']} of {len(samples)} sentences, "
        f"{found['photograph_to_sentence']} of {len(samples)} photographs "
        f"(among {index.text_count} sentences).\nPictures and scores: {page}"
    )


def _print_table(title: str, sections: list[Section]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", show_lines=True)
    table.add_column("query", ratio=1)
    table.add_column("hits (* known to match)", ratio=1)
    for section in sections:
        hits = Text("\n").join(
            Text(f"{'*' if match else ' '} {hit.score:.2f} {_short(hit.item)}", "green" * match)
            for hit, match in zip(section.hits, section.matches or [], strict=True)
        )
        table.add_row(Text(_short(section.query)), hits)
    stdout.print(table)


def _short(item: object) -> str:
    return item.name if isinstance(item, Path) else str(item)


def _found(sections: list[Section]) -> int:
    return sum(bool(section.matches and section.matches[0]) for section in sections)
