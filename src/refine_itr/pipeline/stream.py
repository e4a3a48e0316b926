"""Decoding runs ahead in threads while the batch before is detected and encoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from refine_itr.errors import PictureError
from refine_itr.types import Failure, FloatArray, Picture

Source = TypeVar("Source")


@dataclass(frozen=True)
class EmbeddedBatch(Generic[Source]):
    """Some of the sources, in order, and what became of them.

    Attributes:
        sources: Those that were embedded.
        embeddings: float32 (len(sources), D).
        failures: Those that could not be read.
    """

    sources: list[Source]
    embeddings: FloatArray
    failures: list[Failure]


def embed_stream(
    sources: Iterable[Source],
    decode: Callable[[Source], Picture],
    embed: Callable[[Sequence[Picture]], FloatArray],
    *,
    batch_size: int,
    workers: int,
) -> Iterator[EmbeddedBatch[Source]]:
    """Embeds any number of pictures in bounded memory.

    Args:
        sources: Anything that ``decode`` reads; taken lazily, at most two batches ahead.
        decode: Called in ``workers`` threads. A ``PictureError`` fails that picture alone.
        embed: Called in the consuming thread with up to ``batch_size`` pictures.
        batch_size: At least 1.
        workers: Decoding threads, at least 1.
    """
    iterator = iter(sources)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        ahead: deque[tuple[Source, Future[Picture]]] = deque()

        def refill() -> None:
            for source in islice(iterator, 2 * batch_size - len(ahead)):
                ahead.append((source, pool.submit(decode, source)))

        refill()
        while ahead:
            batch = [ahead.popleft() for _ in range(min(batch_size, len(ahead)))]
            refill()  # before waiting, so that the threads decode while this batch is embedded
            yield _embed_batch(batch, embed)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _embed_batch(
    batch: list[tuple[Source, Future[Picture]]],
    embed: Callable[[Sequence[Picture]], FloatArray],
) -> EmbeddedBatch[Source]:
    readable: list[Source] = []
    pictures: list[Picture] = []
    failures: list[Failure] = []
    for source, future in batch:
        try:
            pictures.append(future.result())
            readable.append(source)
        except PictureError as exc:
            failures.append(Failure(source, str(exc)))
    return EmbeddedBatch(readable, embed(pictures), failures)
