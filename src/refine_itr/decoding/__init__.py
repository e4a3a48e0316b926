"""From a picture as the caller has it to upright RGB pixels: the only place that knows Pillow."""

from refine_itr.decoding.picture import decode, open_picture
from refine_itr.decoding.walk import PICTURE_SUFFIXES, find_pictures

__all__ = ["PICTURE_SUFFIXES", "decode", "find_pictures", "open_picture"]
