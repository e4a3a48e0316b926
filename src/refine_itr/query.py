"""What a query is: a ``str`` is a sentence, all else a picture."""

from __future__ import annotations

from refine_itr.errors import InvalidInputError
from refine_itr.model import Model
from refine_itr.types import FloatArray, PictureSource


def embed_query(model: Model, query: str | PictureSource) -> FloatArray:
    """Returns float32 (1, D).

    Raises:
        InvalidInputError: The sentence is empty, or the query is neither.
        PictureError: The picture cannot be read.
    """
    if not isinstance(query, str):
        return model.embed_images([query])
    if not query.strip():
        raise InvalidInputError("query: expected a sentence; got an empty one")
    return model.embed_texts([query])
