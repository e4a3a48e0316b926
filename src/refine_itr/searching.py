"""``search``: one call from a query and a pile of things to ranked hits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from refine_itr.errors import InvalidInputError
from refine_itr.index import Index, Scorer, bank_of, gallery_rows
from refine_itr.model import Model, load
from refine_itr.query import embed_query
from refine_itr.scoring import QueryBank
from refine_itr.types import Hit, Kind, PictureSource

GallerySource: TypeAlias = str | Path | Index | Sequence[str] | Sequence[PictureSource]

# The kept indexes are shared by all threads, and adding may not go on beside anything else.
_folder_lock = threading.Lock()


def search(
    query: str | PictureSource,
    gallery: GallerySource,
    k: int = 10,
    *,
    model: Model | str | Path = "default",
    correct_hubs: bool = False,
    min_relevance: float | None = None,
) -> list[Hit]:
    """Finds what fits a sentence or a picture best.

    A folder's embeddings are kept for the life of the process: searching it again embeds only
    what is new or changed. To keep them on disk, use an ``Index``.

    Args:
        query: A ``str`` is always a sentence; a Path, PIL image, uint8 array or encoded bytes
            is a picture.
        gallery: What to search: a folder of photographs or a saved index (path as ``str`` or
            Path), an ``Index``, a list of sentences, or a list of pictures.
        k: How many hits; more than there are gives all.
        model: ``"default"``, a bundle's folder, or a loaded model. Not used with an ``Index``.
        correct_hubs: Rank with the model's own query bank (see ``Index.set_query_bank``), which
            also gives ``Hit.relevance``. An ``Index`` or an index file with a bank is ranked with
            that, whatever this says; an ``Index`` without one stays as it is.
        min_relevance: Leave out hits of less relevance, from 0 to 1; corrects hubs as well.

    Returns:
        Hits, the best first. ``hit.item`` is the list's element, or a folder's or index' item.

    Raises:
        InvalidInputError: An argument is none of the above, k is below 1, or the model does not
            bring what ``correct_hubs`` or ``min_relevance`` need.
        PictureError: The query, or a picture of a list, cannot be read. Unreadable pictures of
            a folder are logged as warnings and skipped.
        BundleError: There is no such model.
        IndexFileError: The index file is damaged or made by another model.
    """
    if k < 1:
        raise InvalidInputError(f"k: expected at least 1, got {k}")
    if isinstance(gallery, Index):
        return gallery.search(query, k, min_relevance=min_relevance)
    loaded = model if isinstance(model, Model) else _loaded(str(model))
    bank = bank_of(loaded, "model" if correct_hubs or min_relevance is not None else None)
    if isinstance(gallery, str | Path):
        return _search_path(query, Path(gallery), k, loaded, bank, min_relevance)
    return _search_list(query, gallery, k, loaded, bank, min_relevance)


def _search_path(
    query: str | PictureSource,
    path: Path,
    k: int,
    model: Model,
    bank: QueryBank | None,
    min_relevance: float | None,
) -> list[Hit]:
    if path.is_dir():
        folder = path.resolve()
        with _folder_lock:
            index = _folder_index(model, folder)
            index.add_images(folder)
            index.remove_missing()
            if index.query_bank is not bank:
                index.set_query_bank(bank)
            return index.search(query, k, min_relevance=min_relevance)
    if path.is_file():
        index = Index.open(path, model)
        if index.query_bank is None and bank is not None:
            index.set_query_bank(bank)
        return index.search(query, k, min_relevance=min_relevance)
    raise InvalidInputError(f"{path}: expected a folder or an index file; there is none")


def _search_list(
    query: str | PictureSource,
    items: Sequence[str] | Sequence[PictureSource],
    k: int,
    model: Model,
    bank: QueryBank | None,
    min_relevance: float | None,
) -> list[Hit]:
    items = list(items)  # type: ignore[assignment]
    texts = [item for item in items if isinstance(item, str)]
    if texts and len(texts) < len(items):
        raise InvalidInputError(
            f"gallery: expected all sentences or all pictures; "
            f"got {len(texts)} sentences among {len(items)} items"
        )
    found: Kind = "texts" if texts else "images"
    scorer = Scorer.of(model, bank, "texts" if isinstance(query, str) else "images", found)
    scorer.check(min_relevance)
    pictures = [item for item in items if not isinstance(item, str)]
    embeddings = model.embed_texts(texts) if texts else model.embed_images(pictures)
    rows = gallery_rows(bank, embeddings, found, model.threads)
    (ranking,) = scorer.rank(embed_query(model, query), rows, k, model.threads)
    return ranking.hits(items.__getitem__, int, min_relevance)


@lru_cache(maxsize=4)
def _loaded(name: str) -> Model:
    return load(name)


@lru_cache(maxsize=8)
def _folder_index(model: Model, folder: Path) -> Index:
    return Index(model)
