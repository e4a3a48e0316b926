"""What may be added to an index as photographs: files and folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from refine_itr.errors import InvalidInputError

_log = logging.getLogger("refine_itr")


def picture_files(source: str | Path | Iterable[str | Path]) -> Iterator[Path]:
    """Yields absolute paths of files, so that an index does not depend on the current folder."""
    from refine_itr.decoding import find_pictures

    for entry in [source] if isinstance(source, str | Path) else source:
        path = Path(os.path.abspath(entry))  # noqa: PTH100  (resolve() would follow links)
        if path.is_dir():
            found = find_pictures(path)
            if not found:
                _log.warning("no pictures found in %s", path)
            yield from found
        elif path.is_file():
            yield path
        else:
            raise InvalidInputError(f"{entry}: expected a picture or a folder; there is none")
