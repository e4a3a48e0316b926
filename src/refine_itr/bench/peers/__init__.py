"""The libraries that we compare with. Each is a module here; one that is not installed is named."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any


def open_peers(modules: Iterable[str]) -> tuple[list[Any], dict[str, str]]:
    """Returns the peers that are installed, and why the others are not there, by their names.

    Args:
        modules: Modules of this package.
    """
    found, missing = [], {}
    for module in modules:
        try:
            found.append(import_module(f"{__name__}.{module}"))
        except ImportError as exc:
            missing[module] = str(exc)
    return found, missing
