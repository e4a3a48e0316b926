"""Reads JSON that people edit: every field named, typed and in range, or a clear error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refine_itr.errors import InvalidInputError

_MAX_BYTES = 16 << 20
_MOST = 65_536  # threads, workers, items of a batch: each of them is memory
_MOST_SECONDS = 1e9


def load_json(path: Path, what: str) -> Any:
    """Returns the content of a JSON file.

    Raises:
        InvalidInputError: There is no such file, or it holds no JSON.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInputError(f"{path}: expected {what} of at most {_MAX_BYTES >> 20} MiB")
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise InvalidInputError(f"{path}: expected {what}; there is no such file") from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidInputError(f"{path}: expected {what} in JSON; {exc}") from exc


class Fields:
    """An object of a JSON file, read field by field.

    Args:
        data: The parsed object.
        where: Its name in messages, e.g. "plan.stages[0]".
        names: All fields that it must have, and no others.
    """

    def __init__(self, data: object, where: str, names: tuple[str, ...]) -> None:
        if not isinstance(data, Mapping) or set(data) != set(names):
            got = sorted(map(str, data)) if isinstance(data, Mapping) else repr(data)[:60]
            raise InvalidInputError(
                f"{where}: expected an object with {', '.join(names)}; got {got}"
            )
        self._data = data
        self._where = where

    def text(self, name: str) -> str:
        """Returns a text that is not empty."""
        value = self._data[name]
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "a text", value)
        return value

    def whole(self, name: str, least: int) -> int:
        """Returns a whole number from ``least`` to 65,536."""
        value = self._data[name]
        if type(value) is not int or not least <= value <= _MOST:
            raise self._wrong(name, f"a whole number from {least} to {_MOST}", value)
        return value

    def seconds(self, name: str) -> float:
        """Returns a number from 0, and no more than years of seconds."""
        value = self._data[name]
        if type(value) not in (int, float) or not 0 <= value <= _MOST_SECONDS:
            raise self._wrong(name, "a number from 0", value)
        return float(value)

    def seconds_or_none(self, name: str) -> float | None:
        """Returns such a number, or None for null."""
        return None if self._data[name] is None else self.seconds(name)

    def factor(self, name: str) -> float:
        """Returns a finite number from 1."""
        value = self.seconds(name)
        if value < 1:
            raise self._wrong(name, "a number from 1", value)
        return value

    def sizes(self, name: str) -> tuple[int, ...]:
        """Returns ascending whole numbers from 1; none are allowed."""
        value = self._data[name]
        if (
            not isinstance(value, list)
            or any(type(size) is not int or not 1 <= size <= _MOST for size in value)
            or value != sorted(set(value))
        ):
            raise self._wrong(name, "a list of ascending whole numbers from 1", value)
        return tuple(value)

    def objects(self, name: str) -> list[Any]:
        """Returns a list that is not empty."""
        value = self._data[name]
        if not isinstance(value, list) or not value:
            raise self._wrong(name, "a list", value)
        return value

    def _wrong(self, name: str, expected: str, value: object) -> InvalidInputError:
        return InvalidInputError(f"{self._where}.{name}: expected {expected}; got {value!r}")
