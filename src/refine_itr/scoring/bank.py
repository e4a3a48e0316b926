"""A bank of queries tells which items are hubs: near every query, whatever it asks for.

An item's offset is minus the similarity that queries at large have to it, a soft maximum over the
bank: ``-log(mean(exp(t <q, item>))) / t``. Added to the inner product it is the inverted softmax
(Smith et al., ICLR 2017; Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation",
CVPR 2022) in logarithms: one number an item, and the order of the hits is the same.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
import numpy.typing as npt

from refine_itr import _core
from refine_itr.errors import InvalidInputError
from refine_itr.types import FloatArray, Kind

TEMPERATURE = 10.0
"""What suits some hundred queries as they are; ``refine-itr calibrate`` chooses that of a bank of
centres. docs/scores.md has the measurements."""

# Within them float32 can tell what an offset is.
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 0.001, 1e6
_CHUNK = 1024  # items compared with the bank at once: bounds the memory of a large addition


class QueryBank:
    """Embeddings of typical queries, rounded to float16.

    Args:
        texts: Floats (m, D): embeddings of sentences, or centres of many. They correct
            photographs; None, or m = 0, leaves these as they are.
        images: Floats (p, D): the same of photographs. They correct sentences.
        temperature: t: the higher, the more only an item's nearest queries count, and the more
            queries it takes. Fewer than some 250 sentences as they are do more harm than good.

    Raises:
        InvalidInputError: The arrays are no finite numbers of these shapes, there is no row at
            all, or the temperature is not between 0.001 and a million.
    """

    def __init__(
        self,
        texts: npt.NDArray[np.floating] | None = None,
        images: npt.NDArray[np.floating] | None = None,
        *,
        temperature: float = TEMPERATURE,
    ) -> None:
        given = {n: _rows(v, n) for n, v in (("texts", texts), ("images", images)) if v is not None}
        if not any(map(len, given.values())):
            raise InvalidInputError("query bank: expected at least one query; got none")
        if len(widths := {rows.shape[1] for rows in given.values()}) > 1:
            raise InvalidInputError(
                f"query bank: expected embeddings of one length; got {sorted(widths)}"
            )
        if not _LEAST_TEMPERATURE <= temperature <= _MOST_TEMPERATURE:
            raise InvalidInputError(
                f"temperature: expected {_LEAST_TEMPERATURE} to {_MOST_TEMPERATURE:g}, "
                f"got {temperature}"
            )
        none = np.empty((0, widths.pop()), np.float16)
        self.texts = given.get("texts", none)
        self.images = given.get("images", none)
        self.temperature = float(temperature)

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""
        return int(self.texts.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides an offset, in hexadecimal."""
        digest = hashlib.sha256(repr((self.texts.shape, self.temperature)).encode())
        digest.update(self.texts.tobytes())
        digest.update(self.images.tobytes())
        return digest.hexdigest()

    def offsets(self, embeddings: FloatArray, kind: Kind, threads: int = 0) -> FloatArray:
        """Returns what to add to the inner products of items: the lower, the more of a hub.

        Args:
            embeddings: float32 (n, D).
            kind: What the items are; queries of the other kind look for them.
            threads: 0 means all cores.

        Returns:
            float32 (n,).
        """
        offsets = np.zeros(len(embeddings), np.float32)
        packed = self._queries_for_images if kind == "images" else self._queries_for_texts
        if packed is None:
            return offsets
        workspace = _core.Workspace()
        for start in range(0, len(embeddings), _CHUNK):
            items = np.ascontiguousarray(embeddings[start : start + _CHUNK])
            similar = np.empty((len(items), packed.n_out), np.float32)
            _core.linear(items, packed, similar, workspace, threads=threads)
            offsets[start : start + _CHUNK] = -_soft_maximum(similar, self.temperature)
        return offsets

    @cached_property
    def _queries_for_images(self) -> _core.PackedMatrix | None:
        return _packed(self.texts)

    @cached_property
    def _queries_for_texts(self) -> _core.PackedMatrix | None:
        return _packed(self.images)


def _rows(given: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.float16]:
    if given.ndim != 2 or given.shape[1] == 0 or given.dtype.kind != "f":
        raise InvalidInputError(
            f"query bank: {name}: expected floats (n, D); got {given.dtype} {given.shape}"
        )
    with np.errstate(over="ignore"):  # it shows as infinity
        rows = np.ascontiguousarray(given, np.float16)
    if not np.isfinite(rows).all():
        raise InvalidInputError(f"query bank: {name}: expected finite values that float16 can hold")
    return rows


def _packed(rows: npt.NDArray[np.float16]) -> _core.PackedMatrix | None:
    return _core.PackedMatrix(rows.astype(np.float32)) if len(rows) else None


def _soft_maximum(similar: FloatArray, temperature: float) -> FloatArray:
    """Returns log(mean(exp(t x))) / t over each row, without overflow."""
    largest = similar.max(axis=1, keepdims=True)
    mean = np.exp(temperature * (similar - largest)).mean(axis=1)
    soft: FloatArray = largest[:, 0] + np.log(mean) / np.float32(temperature)
    return soft
