"""``refine-itr search``: one query against a folder, an index or a file of sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refine_itr.cli.html import Section, write_page
from refine_itr.cli.index import read_sentences
from refine_itr.cli.options import (
    AllowFallbackOption,
    CorrectHubsOption,
    CountOption,
    DeviceOption,
    GalleryPrecisionOption,
    JsonOption,
    ModelOption,
    PlanOption,
    PrecisionOption,
    ThreadsOption,
)
from refine_itr.cli.output import (
    failures_to_json,
    hit_to_json,
    print_failures,
    print_hits,
    print_json,
    print_note,
)
from refine_itr.cli.truth import Truth
from refine_itr.errors import InvalidInputError
from refine_itr.index import Index
from refine_itr.model import Model, load
from refine_itr.types import Failure, Precision


def search(
    gallery: Annotated[
        Path,
        typer.Argument(help="A folder of photographs, an index file, or a .txt of sentences."),
    ],
    text: Annotated[str | None, typer.Option("--text", "-t", help="Search by sentence.")] = None,
    image: Annotated[
        Path | None, typer.Option("--image", "-i", help="Search by photograph.")
    ] = None,
    k: CountOption = 10,
    correct_hubs: CorrectHubsOption = False,
    min_relevance: Annotated[
        float | None,
        typer.Option(
            "--min-relevance",
            min=0,
            max=1,
            help="Leave out hits that fit with less probability; corrects hubs as well.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with pictures and scores.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="captions.jsonl that tells what matches, for --html."),
    ] = None,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    plan: PlanOption = None,
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
    precision: PrecisionOption = "fp32",
    gallery_precision: GalleryPrecisionOption = "fp32",
    json: JsonOption = False,
) -> None:
    """Search photographs or sentences, by sentence or by photograph.

    A sentence finds photographs and a photograph finds sentences; a gallery of only one kind is
    searched for that kind.
    """
    if (text is None) == (image is None):
        raise InvalidInputError("expected one of --text and --image")
    query: str | Path = text if text is not None else image  # type: ignore[assignment]
    loaded = load(
        model,
        threads=threads,
        device=device,
        plan=plan,
        allow_fallback=allow_fallback,
        precision=precision,
    )
    opened, failed = _open(gallery, loaded, gallery_precision)
    if not len(opened):
        print_note(f"{gallery}: nothing to search in")
    if opened.query_bank is None and (correct_hubs or min_relevance is not None):
        opened.set_query_bank("model")
    hits = opened.search(query, k, min_relevance=min_relevance)
    if html is not None:
        known = Truth.read(truth) if truth is not None else None
        write_page(html, f"Search: {query}", [Section.of(query, hits, known)])
    if json:
        print_json(
            {
                "query": str(query),
                "gallery": len(opened),
                "hits": [hit_to_json(hit) for hit in hits],
                "failed": failures_to_json(failed),
            }
        )
        return
    print_failures(failed)
    print_hits(str(query), hits)
    if min_relevance is not None and not hits:
        print_note(f"no hit has a relevance of {min_relevance:g} or more")


def _open(gallery: Path, model: Model, precision: Precision) -> tuple[Index, list[Failure]]:
    if gallery.is_dir():
        index = Index(model, precision)
        return index, index.add_images(gallery).failed
    if gallery.suffix.lower() == ".txt" and gallery.is_file():
        index = Index(model, precision)
        index.add_texts(read_sentences(gallery))
        return index, []
    return Index.open(gallery, model, precision=precision), []
