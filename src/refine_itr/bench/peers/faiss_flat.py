"""FAISS: its flat index, and its scalar quantizer's."""

from __future__ import annotations

import faiss

from refine_itr.bench.peers.blas import set_blas_threads
from refine_itr.bench.top_k import SearchCall, SearchWork

NAME = "FAISS"
PACKAGES = ("faiss-cpu", "threadpoolctl")
PRECISIONS: tuple[str, ...] = ()
SEARCH_PRECISIONS = ("fp32", "bf16", "int8")


def search_call(work: SearchWork, precision: str, threads: int) -> SearchCall:
    """Returns a call that gives scores and ids (q, k), best first."""
    faiss.omp_set_num_threads(threads)
    set_blas_threads(threads)
    dim = work.gallery.shape[1]
    if precision == "fp32":
        index: faiss.Index = faiss.IndexFlatIP(dim)
    else:
        quantizer = faiss.ScalarQuantizer
        kind = {"bf16": quantizer.QT_bf16, "int8": quantizer.QT_8bit}[precision]
        index = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)
        index.train(work.gallery)
    index.add(work.gallery)
    return lambda: index.search(work.queries, work.k)
