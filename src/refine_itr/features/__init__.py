"""Region features that a detector elsewhere has left on disk."""

from refine_itr.features.bottom_up import ImageRegions, read_npz, read_tsv
from refine_itr.features.pack import pack, read_ids
from refine_itr.features.precomputed import SUFFIX, Precomputed, read_precomputed

__all__ = [
    "SUFFIX",
    "ImageRegions",
    "Precomputed",
    "pack",
    "read_ids",
    "read_npz",
    "read_precomputed",
    "read_tsv",
]
