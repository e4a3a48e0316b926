"""Parsed JSON to dataclasses: no key missing, none unknown, every value checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from refine_itr.errors import BundleError

T = TypeVar("T")


@dataclass(frozen=True)
class Between:
    """A number, or each of several, from ``low`` to ``high``."""

    low: float
    high: float

    def check(self, value: object, where: str) -> None:
        """Raises ``BundleError`` if it is not."""
        for number in value if isinstance(value, tuple) else (value,):
            if not self.low <= number <= self.high:
                raise BundleError(f"{where}: expected {self.low} to {self.high}, got {number}")


class OneOf:
    """One of a few texts."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def check(self, value: object, where: str) -> None:
        """Raises ``BundleError`` if it is not."""
        if value not in self.choices:
            raise BundleError(f"{where}: expected one of {', '.join(self.choices)}; got {value!r}")


def read_config(kind: Any, data: object, file: str) -> Any:
    """Reads a dataclass, whose fields are checked values, tuples or dataclasses themselves.

    Args:
        kind: The dataclass. ``Annotated`` types carry rules. Of a union of dataclasses the one
            is read whose field ``kind`` may be what the data say; null where it has None.
        data: Parsed JSON.
        file: Its name, for messages.

    Raises:
        BundleError: A key is missing or unknown, or a value has the wrong type or is out of range.
    """
    try:
        return _value(data, kind, "")
    except BundleError as exc:
        raise BundleError(f"{file}: {exc}") from None


def _read(kind: type[T], data: object, where: str) -> T:
    name = where or "the top level"
    if not isinstance(data, dict):
        raise BundleError(f"{name}: expected an object, got {data!r}")
    hints = get_type_hints(kind, include_extras=True)
    if missing := sorted(hints.keys() - data.keys()):
        raise BundleError(f"{name}: missing {', '.join(missing)}")
    if unknown := sorted(map(str, data.keys() - hints.keys())):
        raise BundleError(f"{name}: unknown {', '.join(unknown)}")
    prefix = f"{where}." if where else ""
    return kind(**{key: _value(data[key], hint, prefix + key) for key, hint in hints.items()})


def _value(value: object, hint: Any, where: str) -> object:
    rules: Iterable[Any] = ()
    if get_origin(hint) is Annotated:
        hint, *rules = get_args(hint)
    if isinstance(hint, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        hint = _of_kind(value, get_args(hint), where)
    if dataclasses.is_dataclass(hint):
        return _read(hint, value, where)  # type: ignore[arg-type]
    read = _tuple(value, hint, where) if get_origin(hint) is tuple else _typed(value, hint, where)
    for rule in rules:
        rule.check(read, where)
    return read


def _typed(value: object, kind: type, where: str) -> object:
    if kind is float and type(value) is int:
        try:
            return float(value)  # JSON does not tell 1 from 1.0
        except OverflowError:
            raise BundleError(f"{where}: expected float, got a number beyond it") from None
    # type() and not isinstance(): to Python True is an int, in JSON it is not.
    if type(value) is not kind:
        raise BundleError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def _tuple(value: object, hint: Any, where: str) -> tuple[object, ...]:
    kinds = get_args(hint)
    any_length = kinds[-1] is Ellipsis
    if not isinstance(value, list | tuple) or not (any_length or len(value) == len(kinds)):
        wanted = "several" if any_length else str(len(kinds))
        raise BundleError(
            f"{where}: expected a list of {wanted} {kinds[0].__name__}, got {value!r}"
        )
    return tuple(_typed(v, kinds[0], f"{where}[{i}]") for i, v in enumerate(value))


def _of_kind(value: object, options: tuple[Any, ...], where: str) -> Any:
    choices: dict[object, Any] = {}
    for option in options:
        if option is NoneType:
            continue
        rule = get_args(get_type_hints(option, include_extras=True)["kind"])[1]
        choices |= dict.fromkeys(rule.choices, option)
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in choices:
        name = f"{where}.kind" if where else "kind"
        known = ", ".join(map(str, choices))
        raise BundleError(f"{name}: expected one of {known}; got {kind!r}")
    return choices[kind]
