"""Embedded photographs and sentences: adding, exact top-K search, saving."""

from refine_itr.index.index import AddReport, Index
from refine_itr.index.matching import search_worker, top_k
from refine_itr.index.scorer import Scorer, bank_of, gallery_rows

__all__ = ["AddReport", "Index", "Scorer", "bank_of", "gallery_rows", "search_worker", "top_k"]
