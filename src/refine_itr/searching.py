"""``search``: one call from a query and a pile of things to ranked hits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from refine_itr.errors import InvalidInputError
from refine_itr.index import Index, top_k
from refine_itr.model import Model, load
from refine_itr.query import embed_query
from refine_itr.types import Hit, PictureSource

GallerySource: TypeAlias = str | Path | Index | Sequence[str] | Sequence[PictureSource]

# The kept indexes are shared by all threads, and adding may not go on beside anything else.
_folder_lock = threading.Lock()


def search(
    query: str | PictureSource,
    gallery: GallerySource,
    k: int = 10,
    *,
    model: Model | str | Path = "default",
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

    Returns:
        Hits, the best first. ``hit.item`` is the list's element, or a folder's or index' item.

    Raises:
        InvalidInputError: An argument is none of the above, or k is below 1.
        PictureError: The query, or a picture of a list, cannot be read. Unreadable pictures of
            a folder are logged as warnings and skipped.
        BundleError: There is no such model.
        IndexFileError: The index file is damaged or made by another model.
    """
    if k < 1:
        raise InvalidInputError(f"k: expected at least 1, got {k}")
    if isinstance(gallery, Index):
        return gallery.search(query, k)
    loaded = model if isinstance(model, Model) else _loaded(str(model))
    if isinstance(gallery, str | Path):
        return _search_path(query, Path(gallery), k, loaded)
    return _search_list(query, gallery, k, loaded)


def _search_path(query: str | PictureSource, path: Path, k: int, model: Model) -> list[Hit]:
    if path.is_dir():
        folder = path.resolve()
        with _folder_lock:
            index = _folder_index(model, folder)
            index.add_images(folder)
            index.remove_missing()
            return index.search(query, k)
    if path.is_file():
        return Index.open(path, model).search(query, k)
    raise InvalidInputError(f"{path}: expected a folder or an index file; there is none")


def _search_list(
    query: str | PictureSource, items: Sequence[str] | Sequence[PictureSource], k: int, model: Model
) -> list[Hit]:
    items = list(items)  # type: ignore[assignment]
    texts = [item for item in items if isinstance(item, str)]
    if texts and len(texts) < len(items):
        raise InvalidInputError(
            f"gallery: expected all sentences or all pictures; "
            f"got {len(texts)} sentences among {len(items)} items"
        )
    pictures = [item for item in items if not isinstance(item, str)]
    embeddings = model.embed_texts(texts) if texts else model.embed_images(pictures)
    scores, rows = top_k(embed_query(model, query), embeddings, k, model.threads)
    return [
        Hit(rank, float(score), items[row], int(row))
        for rank, (score, row) in enumerate(zip(scores[0], rows[0], strict=True), start=1)
    ]


@lru_cache(maxsize=4)
def _loaded(name: str) -> Model:
    return load(name)


@lru_cache(maxsize=8)
def _folder_index(model: Model, folder: Path) -> Index:
    return Index(model)
