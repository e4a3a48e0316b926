"""Recall through the shipped path: image files, detector, native encoders, top-K."""

from __future__ import annotations

from refine_itr.evaluation.captions import CaptionSet
from refine_itr.evaluation.recall import Recalls, measure_recalls
from refine_itr.model import Model
from refine_itr.scoring import QueryBank


def evaluate(model: Model, data: CaptionSet, bank: QueryBank | None = None) -> Recalls:
    """Embeds all images and sentences from scratch and measures the recalls.

    Args:
        model: The model.
        data: Captioned images.
        bank: Corrects hubs; None: nothing does.

    Raises:
        PictureError: An image cannot be read: a recall over the others would mislead.
    """
    images = model.embed_images(data.images)
    texts = model.embed_texts(data.sentences)
    return measure_recalls(images, texts, data.owner, model.threads, bank=bank)
