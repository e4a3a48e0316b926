"""Rows of embeddings with what they stand for; grows without copying all at every addition."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from refine_itr.errors import InvalidInputError
from refine_itr.index.matching import BoolArray, narrow_gallery
from refine_itr.types import FloatArray, Precision

Key = TypeVar("Key")


@dataclass
class Gallery(Generic[Key]):
    """Items of one kind, one embedding a row.

    Args:
        embeddings: float32 (n, columns) to start from; may be memory-mapped copy-on-write.
        keys: n distinct items, e.g. paths or sentences.
        ids: n numbers that hits carry.
        precision: Of the copy that is searched, ``narrow``; there is none for "fp32".
    """

    embeddings: FloatArray
    keys: list[Key] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        self._buffer = self.embeddings
        self._rows = {key: row for row, key in enumerate(self.keys)}
        self._row_of_id: dict[int, int] = {}
        self.narrow = narrow_gallery(self.embeddings, self.precision)

    @classmethod
    def empty(cls, columns: int, precision: Precision = "fp32") -> Gallery[Key]:
        """Returns a gallery of no items."""
        return cls(np.empty((0, columns), np.float32), precision=precision)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    def put(self, key: Key, embedding: FloatArray, new_id: int) -> bool:
        """Adds an item, or replaces its embedding; returns whether ``new_id`` was taken."""
        row = self._rows.get(key)
        if row is not None:
            self._buffer[row] = embedding
            if self.narrow is not None:
                self.narrow.replace(row, self._buffer[row])
            return False
        row = self._rows[key] = len(self.keys)
        if row == len(self._buffer):
            self._grow()
        self._buffer[row] = embedding
        self.keys.append(key)
        self.ids.append(new_id)
        self.embeddings = self._buffer[: row + 1]
        if self.narrow is not None:
            self.narrow.append(self._buffer[row : row + 1])
        return True

    def keep(self, wanted: Callable[[Key], bool]) -> int:
        """Drops the items that are not wanted; returns how many were dropped."""
        rows = [row for row, key in enumerate(self.keys) if wanted(key)]
        dropped = len(self.keys) - len(rows)
        if dropped:
            self.embeddings = self._buffer = self.embeddings[rows]
            self.keys = [self.keys[row] for row in rows]
            self.ids = [self.ids[row] for row in rows]
            self._rows = {key: row for row, key in enumerate(self.keys)}
            self._row_of_id = {}
            self.narrow = narrow_gallery(self.embeddings, self.precision)
        return dropped

    def mask(self, ids: Collection[int]) -> BoolArray:
        """Returns which rows are the items with these ids: bool (n,).

        Raises:
            InvalidInputError: They are no ids.
        """
        if not isinstance(ids, Collection) or not all(isinstance(i, int | np.integer) for i in ids):
            raise InvalidInputError(f"only: expected ids (int); got {str(ids)[:80]}")
        row_of = self._rows_of_ids()
        mask = np.zeros(len(self), np.bool_)
        mask[[row_of[id_] for id_ in ids if id_ in row_of]] = True
        return mask

    def _rows_of_ids(self) -> dict[int, int]:
        """Returns the row of each id; made and completed here, for most galleries never need it."""
        row_of = self._row_of_id
        for row in range(len(row_of), len(self)):
            row_of[self.ids[row]] = row
        return row_of

    def replace(self, embeddings: FloatArray) -> None:
        """Puts other rows in the place of all, e.g. wider ones: float32 (n, columns)."""
        self.embeddings = self._buffer = embeddings
        self.narrow = narrow_gallery(self.embeddings, self.precision)

    def _grow(self) -> None:
        columns = self._buffer.shape[1]
        larger = np.empty((max(64, 2 * len(self._buffer)), columns), np.float32)
        larger[: len(self._buffer)] = self._buffer
        self._buffer = larger
