"""Recall through the shipped path: image files, detector, native encoders, top-K."""

from __future__ import annotations

from refine_itr.evaluation.captions import CaptionSet
from refine_itr.evaluation.recall import Recalls, measure_recalls
from refine_itr.model import Model


def evaluate(model: Model, data: CaptionSet) -> Recalls:
    """Embeds all images and sentences from scratch and measures the recalls.

    Raises:
        PictureError: An image cannot be read: a recall over the others would mislead.
    """
    images = model.embed_images(data.images)
    texts = model.embed_texts(data.sentences)
    return measure_recalls(images, texts, data.owner, model.threads)
