"""A page of search results, one file with the pictures inside; known matches are framed."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from refine_itr.cli.truth import Truth
from refine_itr.decoding import open_picture
from refine_itr.types import Hit

_THUMBNAIL = (320, 240)

_STYLE = """
body { font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
  color: #222; background: #fff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 0.7rem; }
img { display: block; width: 100%; height: 9.5rem; object-fit: contain; background: #f2f2f2; }
.query img { width: 14rem; }
ol { list-style: none; padding: 0; display: grid; gap: 0.8rem;
  grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); }
li { border: 4px solid #ddd; border-radius: 6px; padding: 0.5rem; overflow-wrap: anywhere; }
li.match { border-color: #c62828; }
.score { color: #666; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818; } img { background: #222; } li { border-color: #444; }
  li.match { border-color: #ef5350; } .score { color: #999; } }
"""


@dataclass(frozen=True)
class Section:
    """One query with its hits.

    Attributes:
        query: A sentence (str) or a picture (Path).
        hits: The best first.
        matches: For each hit, whether it is known to match; None where nothing is known.
    """

    query: str | Path
    hits: Sequence[Hit]
    matches: Sequence[bool] | None

    @classmethod
    def of(cls, query: str | Path, hits: Sequence[Hit], truth: Truth | None) -> Section:
        """Returns the section of a query, its matches looked up in what is known."""
        known = None if truth is None else [truth.matches(query, hit.item) for hit in hits]
        return cls(query, hits, known)


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes the page; it needs no other file and no network."""
    legend = (
        "<p>Framed in red: known to match.</p>"
        if any(section.matches is not None for section in sections)
        else ""
    )
    body = "\n".join(_section(section) for section in sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>{legend}\n{body}\n</body></html>\n",
        "utf-8",
    )


def _section(section: Section) -> str:
    matches = section.matches or [False] * len(section.hits)
    cards = "\n".join(_card(h, m) for h, m in zip(section.hits, matches, strict=True))
    if isinstance(section.query, Path):
        heading = f'<h2>{escape(section.query.name)}</h2><div class="query">'
        heading += f"{_picture(section.query)}</div>"
    else:
        heading = f"<h2>“{escape(section.query)}”</h2>"
    return f"<section>{heading}\n<ol>{cards}</ol></section>"


def _card(hit: Hit, match: bool) -> str:
    if isinstance(hit.item, Path):
        content = _picture(hit.item) + escape(hit.item.name)
    else:
        content = escape(str(hit.item))
    frame = ' class="match"' if match else ""
    known = "" if hit.relevance is None else f", relevance {hit.relevance:.2f}"
    score = f'<span class="score">{hit.rank}. score {hit.score:.3f}{known}</span>'
    return f"<li{frame}>{content}<br>{score}</li>"


def _picture(path: Path) -> str:
    thumbnail = open_picture(path)
    thumbnail.thumbnail(_THUMBNAIL)
    jpeg = io.BytesIO()
    thumbnail.save(jpeg, "JPEG", quality=85)
    data = base64.b64encode(jpeg.getvalue()).decode("ascii")
    return f'<img alt="{escape(path.name)}" src="data:image/jpeg;base64,{data}">'
