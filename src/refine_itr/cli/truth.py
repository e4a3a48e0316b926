"""What is known to match: pairs of a picture's file name and a sentence."""

from __future__ import annotations

import json
from pathlib import Path

from refine_itr.errors import DatasetError


class Truth:
    """Known pairs.

    Args:
        pairs: (file name of the picture, sentence).
    """

    def __init__(self, pairs: set[tuple[str, str]]) -> None:
        self._pairs = pairs

    @classmethod
    def read(cls, captions: Path) -> Truth:
        """Reads a ``captions.jsonl``; its pictures need not be there.

        Raises:
            DatasetError: A line is not ``{"image": ..., "captions": [...]}``.
        """
        try:
            rows = [json.loads(s) for s in captions.read_text("utf-8").splitlines() if s.strip()]
            return cls(
                {(Path(row["image"]).name, text) for row in rows for text in row["captions"]}
            )
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise DatasetError(
                f'{captions}: expected lines {{"image": "...", "captions": ["...", ...]}}'
            ) from exc

    def matches(self, query: object, item: object) -> bool:
        """Tells whether a sentence and a picture (a Path), in either order, are a known pair."""
        picture, sentence = (query, item) if isinstance(query, Path) else (item, query)
        return isinstance(picture, Path) and (picture.name, sentence) in self._pairs
