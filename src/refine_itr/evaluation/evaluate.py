"""Recall through the shipped path: images or their features, native encoders, top-K."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from refine_itr.errors import DatasetError, InvalidInputError
from refine_itr.evaluation.captions import CaptionSet
from refine_itr.evaluation.protocol import Protocol, measure_protocol
from refine_itr.evaluation.recall import Recalls, measure_recalls
from refine_itr.features import Precomputed
from refine_itr.index import bank_of
from refine_itr.model import Model
from refine_itr.scoring import QueryBank
from refine_itr.types import FloatArray

_IMAGES = 64  # regions in memory at a time; the array may be larger than it


def evaluate(
    models: Model | Iterable[Model],
    data: CaptionSet | Precomputed,
    protocol: Protocol | None = None,
    threads: int = 0,
    *,
    bank: QueryBank | Literal["model"] | None = None,
) -> Recalls:
    """Embeds all images and sentences from scratch and measures the recalls.

    Args:
        models: A model, or several that rank together by the mean of their scores, as VSRN's
            paper does with two. One after the other is used, so they may be loaded one by one.
        data: Photographs or features, with sentences.
        protocol: Of a paper; None: all images at once.
        threads: Threads of the search; 0 means all cores.
        bank: Corrects the hubs of one model; "model" for its own; None: nothing does.

    Raises:
        InvalidInputError: There is no model, or the bank is not for it.
        PictureError: An image cannot be read: a recall over the others would mislead.
        DatasetError: The features do not fit a model, or the data do not fit the protocol.
    """
    banks: list[QueryBank | None] = []
    embedded: list[tuple[FloatArray, FloatArray]] = []
    for model in [models] if isinstance(models, Model) else models:
        if embedded and bank is not None:
            raise InvalidInputError("bank: expected one model, whose hubs it corrects; got several")
        banks.append(bank_of(model, bank))
        embedded.append(_embed(model, data))
    if not embedded:
        raise InvalidInputError("models: expected at least one; got none")
    # The inner product of joined embeddings is the sum of the models' scores: no matrix of scores
    # is needed to rank by their mean.
    images, texts = (_joined(list(parts)) for parts in zip(*embedded, strict=True))
    if protocol is None:
        return measure_recalls(images, texts, data.owner, threads, bank=banks[0])
    return measure_protocol(images, texts, data.owner, protocol, threads, bank=banks[0])


def _joined(parts: list[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _embed(model: Model, data: CaptionSet | Precomputed) -> tuple[FloatArray, FloatArray]:
    if isinstance(data, CaptionSet):
        return model.embed_images(data.images), model.embed_texts(data.sentences)
    images = np.empty((len(data.regions), model.dim), np.float32)
    for start in range(0, len(images), _IMAGES):
        stop = min(start + _IMAGES, len(images))
        try:
            images[start:stop] = model.embed_regions(data.load(start, stop))
        except InvalidInputError as exc:
            raise DatasetError(f"{data.path}: images {start} to {stop - 1}: {exc}") from exc
    return images, model.embed_texts(data.sentences)
