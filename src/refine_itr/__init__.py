"""Real-time image-text retrieval on edge servers.

>>> import refine_itr
>>> hits = refine_itr.search("two dogs run through snow", "photos/", k=5)

``docs/architecture.md`` explains the parts; ``refine_itr.errors`` draws the tree of errors.
"""

from refine_itr._version import __version__
from refine_itr.errors import RefineItrError
from refine_itr.index import AddReport, Index
from refine_itr.model import Model, load
from refine_itr.scoring import QueryBank
from refine_itr.searching import search
from refine_itr.types import Failure, Hit

__all__ = [
    "AddReport",
    "Failure",
    "Hit",
    "Index",
    "Model",
    "QueryBank",
    "RefineItrError",
    "__version__",
    "load",
    "search",
]
