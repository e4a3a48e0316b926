"""Embedded photographs and sentences: adding, exact top-K search, saving."""

from refine_itr.index.index import AddReport, Index
from refine_itr.index.matching import search_worker, top_k

__all__ = ["AddReport", "Index", "search_worker", "top_k"]
