"""The index: photographs and sentences embedded once, searched exactly, kept in one file."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from refine_itr.errors import IndexFileError, InvalidInputError, ModelMismatchError
from refine_itr.index.gallery import Gallery
from refine_itr.index.progress import tracked
from refine_itr.index.scorer import Ranking, Scorer, bank_of, gallery_rows
from refine_itr.index.sources import picture_files
from refine_itr.index.storage import StoredIndex, read_index, write_index
from refine_itr.model import Model, load
from refine_itr.query import embed_query
from refine_itr.scoring import QueryBank
from refine_itr.types import Failure, FloatArray, Hit, Kind, PictureSource, Precision

if TYPE_CHECKING:
    from refine_itr.pipeline import Overflow, Pipeline, Stage

_log = logging.getLogger("refine_itr.skipped")

Stamp = tuple[int, int]  # size in bytes, time of last change in nanoseconds


@dataclass
class AddReport:
    """What became of the items of one addition.

    Attributes:
        added: Items that are new in the index.
        updated: Photographs whose file has changed, embedded again under the same id.
        unchanged: Items that were already there; nothing was embedded for them.
        failed: Photographs that could not be read, each with the reason.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)


class Index:
    """Photographs and sentences of one model, searchable both ways.

    Searching may go on in many threads at once; adding may not go on beside anything else.

    Args:
        model: Embeds what is added and what is asked.
        precision: "bf16" and "int8" search a copy of the embeddings in a half or a quarter of
            the memory, kept beside them, and find the same as "fp32", bit for bit.
        query_bank: What ``set_query_bank`` takes.

    Raises:
        InvalidInputError: There is no such precision, or no such bank.
    """

    def __init__(
        self,
        model: Model,
        precision: Precision = "fp32",
        *,
        query_bank: QueryBank | Literal["model"] | None = None,
    ) -> None:
        self.model = model
        self.precision = precision
        self._bank = bank_of(model, query_bank)
        self._images: Gallery[str] = Gallery.empty(self._columns, precision)
        self._texts: Gallery[str] = Gallery.empty(self._columns, precision)
        self._stamps: dict[str, Stamp] = {}
        self._next_id = 0

    def __len__(self) -> int:
        return len(self._images) + len(self._texts)

    @property
    def image_count(self) -> int:
        """Number of photographs."""
        return len(self._images)

    @property
    def text_count(self) -> int:
        """Number of sentences."""
        return len(self._texts)

    @property
    def query_bank(self) -> QueryBank | None:
        """What corrects hubs, or None."""
        return self._bank

    def add_images(
        self, source: str | Path | Iterable[str | Path], *, progress: bool | None = None
    ) -> AddReport:
        """Adds photographs; those already here and unchanged on disk are not embedded again.

        An unreadable picture is reported, logged as a warning, and skipped.

        Args:
            source: A folder (walked recursively), a picture file, or several of them.
            progress: Show a progress bar; None shows it when stderr is a terminal.

        Raises:
            InvalidInputError: A path does not exist.
        """
        report = AddReport()
        paths = dict.fromkeys(picture_files(source))  # each once, in order
        stamps = self._changed(paths, report)
        for outcome in self.model.embed_image_stream(tracked(stamps, len(stamps), progress)):
            if outcome.error is not None:
                report.failed.append(_skipped(outcome.item, str(outcome.error)))
                continue
            key = str(outcome.item)
            self._stamps[key] = stamps[outcome.item]
            if self._put(self._images, key, self._rows(outcome.value[None], "images")[0]):
                report.added += 1
            else:
                report.updated += 1
        return report

    def add_texts(self, sentences: Iterable[str]) -> AddReport:
        """Adds sentences; one that is already here is counted as unchanged.

        Raises:
            InvalidInputError: One of them is no ``str``, or a single ``str`` was given.
        """
        if isinstance(sentences, str):
            raise InvalidInputError("sentences: expected several, e.g. a list; got one str")
        given = list(sentences)
        new = [s for s in dict.fromkeys(given) if s not in self._texts]
        rows = self._rows(self.model.embed_texts(new), "texts")
        for sentence, row in zip(new, rows, strict=True):
            self._put(self._texts, sentence, row)
        return AddReport(added=len(new), unchanged=len(given) - len(new))

    def set_query_bank(self, bank: QueryBank | Literal["model"] | None) -> None:
        """Corrects hubs from now on: items that are near every query, whatever it asks for.

        Every item gets an offset, those here now and those added later; ``save`` keeps them.
        Hits are ranked by score plus offset where a sentence finds photographs or a photograph
        finds sentences.

        Args:
            bank: Typical queries; "model" for those that the model brings, which also give
                ``Hit.relevance``; None to rank by the inner product alone.

        Raises:
            InvalidInputError: The bank is of other embeddings, or the model brings none.
        """
        new = bank_of(self.model, bank)
        plain = [g.embeddings[:, : self.model.dim] for g in (self._images, self._texts)]
        self._bank = new
        self._images.replace(self._rows(plain[0], "images"))
        self._texts.replace(self._rows(plain[1], "texts"))

    def remove_missing(self) -> int:
        """Forgets the photographs whose file is gone; returns how many."""
        removed = self._images.keep(os.path.isfile)
        # Without its stamp a file that comes back is embedded again, even if it is the same.
        self._stamps = {key: self._stamps[key] for key in self._images.keys}
        return removed

    def search(
        self,
        query: str | PictureSource,
        k: int = 10,
        *,
        among: Kind | None = None,
        only: Collection[int] | None = None,
        min_relevance: float | None = None,
    ) -> list[Hit]:
        """Returns the k items that fit best, the best first.

        Args:
            query: A ``str`` is a sentence; a Path, bytes, PIL image or array is a picture.
            k: How many; more than there are gives all.
            among: What to search. By default a sentence finds photographs and a picture
                finds sentences; an index that has only one kind is searched for that.
            only: Ids (``Hit.id``) of items; nothing else is found. Ids that are not among what is
                searched count for nothing. None searches all.
            min_relevance: Leave out hits of less relevance, from 0 to 1; needs a calibrated
                model's query bank, see ``set_query_bank``.

        Returns:
            Hits whose ``item`` is a Path (photograph) or a str (sentence).

        Raises:
            InvalidInputError: k is below 1, relevance is not known, or an argument is none of
                the above.
            PictureError: The picture cannot be read.
        """
        found = _checked(among) or self._natural_kind(query)
        scorer = self._scorer("texts" if isinstance(query, str) else "images", found)
        scorer.check(min_relevance)
        gallery = self._gallery(found)
        allowed = None if only is None else gallery.mask(only)
        (ranking,) = scorer.rank(
            embed_query(self.model, query),
            gallery.embeddings,
            k,
            self.model.threads,
            narrow=gallery.narrow,
            allowed=allowed,
        )
        return self._hits(gallery, ranking, min_relevance)

    def stages(
        self, k: int = 10, *, among: Kind | None = None, min_relevance: float | None = None
    ) -> list[Stage]:
        """Returns the stages from a picture to its hits: those of the model, then "search".

        Args:
            k: How many hits.
            among: What to search; by default sentences, or photographs if there are no sentences.
            min_relevance: As for ``search``.

        Raises:
            InvalidInputError: k is below 1, relevance is not known, or an argument is none of
                the above.
        """
        from refine_itr.assembly import SEARCH, stages_of

        if k < 1:
            raise InvalidInputError(f"k: expected at least 1, got {k}")
        found = _checked(among) or self._natural_kind(None)
        scorer = self._scorer("images", found)
        scorer.check(min_relevance)
        gallery = self._gallery(found)
        items, narrow = gallery.embeddings, gallery.narrow
        plan = self.model.plan
        planned = plan.stage(SEARCH)

        def search(embeddings: list[FloatArray]) -> list[list[Hit]]:
            queries = np.stack(embeddings)
            rankings = scorer.rank(queries, items, k, planned.threads, narrow=narrow)
            return [self._hits(gallery, ranking, min_relevance) for ranking in rankings]

        return [*self.model.stages(), *stages_of(plan, {SEARCH: [search] * planned.workers})]

    def pipeline(
        self,
        k: int = 10,
        *,
        among: Kind | None = None,
        min_relevance: float | None = None,
        overflow: Overflow = "block",
        deadline_s: float | None = None,
    ) -> Pipeline:
        """Starts a pipeline from pictures to lists of hits; close it, or use ``with``.

        It searches what is in the index now. Arguments are those of ``stages`` and of
        ``Model.pipeline``.
        """
        from refine_itr.assembly import start

        stages = self.stages(k, among=among, min_relevance=min_relevance)
        return start(self.model.plan, stages, overflow=overflow, deadline_s=deadline_s)

    def save(self, path: str | Path) -> None:
        """Saves to one file. A crash while saving leaves the file that was there.

        Raises:
            IndexFileError: The file cannot be written.
        """
        records = {
            "next_id": self._next_id,
            "images": [
                [key, id_, *self._stamps[key]]
                for key, id_ in zip(self._images.keys, self._images.ids, strict=True)
            ],
            "texts": [list(row) for row in zip(self._texts.keys, self._texts.ids, strict=True)],
        }
        stored = StoredIndex(
            self.model.fingerprint,
            self._images.embeddings,
            self._texts.embeddings,
            records,
            self._bank,
        )
        write_index(Path(path), stored)

    @classmethod
    def open(
        cls, path: str | Path, model: Model | None = None, *, precision: Precision = "fp32"
    ) -> Index:
        """Opens a saved index; its embeddings are memory-mapped, its query bank comes with it.

        Args:
            path: What ``save`` wrote.
            model: The model that made it; None loads the default one.
            precision: Of what is searched, as for ``Index``. The copy of "bf16" and "int8" is made
                now, from the file; of the embeddings themselves a search then reads few rows.

        Raises:
            InvalidInputError: There is no such precision.
            IndexFileError: There is no such file, or it is damaged.
            ModelMismatchError: Another model made it.
        """
        path = Path(path)
        stored = read_index(path)
        index = cls(model or load(), precision)
        if stored.model != index.model.fingerprint:
            raise ModelMismatchError(
                f"{path}: made by the model {stored.model[:12]}; "
                f"got the model {index.model.fingerprint[:12]}"
            )
        try:
            index._restore(stored)
        except (LookupError, TypeError, ValueError, OverflowError) as exc:
            raise IndexFileError(f"{path}: records do not fit the embeddings") from exc
        return index

    def _restore(self, stored: StoredIndex) -> None:
        records: dict[str, Any] = stored.records
        images, texts = records["images"], records["texts"]
        self._bank = bank_of(self.model, stored.bank)
        for rows, matrix in ((images, stored.images), (texts, stored.texts)):
            if matrix.shape != (len(rows), self._columns):
                raise ValueError("a row of embeddings for each record")
        self._images = self._restored(stored.images, images)
        self._texts = self._restored(stored.texts, texts)
        self._stamps = {str(r[0]): (int(r[2]), int(r[3])) for r in images}
        self._next_id = int(records["next_id"])
        ids = {*self._images.ids, *self._texts.ids}
        if len(ids) < len(images) + len(texts) or max(ids, default=-1) >= self._next_id:
            raise ValueError("an id of its own for each record, below next_id")

    def _restored(self, embeddings: FloatArray, records: list[list[Any]]) -> Gallery[str]:
        keys, ids = [str(r[0]) for r in records], [int(r[1]) for r in records]
        if len(set(keys)) < len(keys):
            raise ValueError("each item once")
        return Gallery(embeddings, keys, ids, self.precision)

    @property
    def _columns(self) -> int:
        return self.model.dim + (self._bank is not None)

    def _rows(self, embeddings: FloatArray, kind: Kind) -> FloatArray:
        return gallery_rows(self._bank, embeddings, kind, self.model.threads)

    def _scorer(self, asked: Kind, found: Kind) -> Scorer:
        return Scorer.of(self.model, self._bank, asked, found)

    def _put(self, gallery: Gallery[str], key: str, embedding: np.ndarray[Any, Any]) -> bool:
        is_new = gallery.put(key, embedding, self._next_id)
        self._next_id += is_new
        return is_new

    def _changed(self, paths: Iterable[Path], report: AddReport) -> dict[Path, Stamp]:
        """Returns the files to embed with their stamps; counts the others in the report."""
        changed: dict[Path, Stamp] = {}
        for path in paths:
            try:
                status = path.stat()
            except OSError as exc:  # a broken link, or gone since the folder was walked
                report.failed.append(_skipped(path, exc.strerror or str(exc)))
                continue
            stamp = (status.st_size, status.st_mtime_ns)
            if self._stamps.get(str(path)) == stamp:
                report.unchanged += 1
            else:
                changed[path] = stamp
        return changed

    def _hits(
        self, gallery: Gallery[str], ranking: Ranking, min_relevance: float | None
    ) -> list[Hit]:
        as_item = Path if gallery is self._images else str
        return ranking.hits(
            lambda row: as_item(gallery.keys[row]), gallery.ids.__getitem__, min_relevance
        )

    def _natural_kind(self, query: object) -> Kind:
        wanted: Kind = "images" if isinstance(query, str) else "texts"
        other: Kind = "texts" if wanted == "images" else "images"
        return other if not len(self._gallery(wanted)) else wanted

    def _gallery(self, kind: Kind) -> Gallery[str]:
        return self._images if kind == "images" else self._texts


def _checked(among: Kind | None) -> Kind | None:
    if among not in (None, "images", "texts"):
        raise InvalidInputError(f"among: expected 'images' or 'texts'; got {among!r}")
    return among


def _skipped(path: object, reason: str) -> Failure:
    _log.warning("skipped %s: %s", path, reason)
    return Failure(path, reason)
