"""Regions and sentences to embeddings: all that has no convolution, on the CPU's own kernels."""

from refine_itr.encoding.image import ImageEncoder
from refine_itr.encoding.text import TextEncoder

__all__ = ["ImageEncoder", "TextEncoder"]
