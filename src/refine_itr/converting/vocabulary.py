"""Vocabularies of other programs: words and ids, from JSON or from a pickle that cannot act."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refine_itr.errors import CheckpointError

START, END, UNKNOWN = "<start>", "<end>", "<unk>"

_MAX_BYTES = 64 << 20
# `vocab.py` run as a program pickles its class as one of __main__.
_CLASSES = {("vocab", "Vocabulary"), ("__main__", "Vocabulary")}
# All that an object with dictionaries of words and numbers needs. No opcode here calls anything:
# NEWOBJ makes an instance of the class above, BUILD hands it its state.
_OPCODES = {
    *("PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "NEWOBJ", "BUILD"),
    *("EMPTY_TUPLE", "EMPTY_DICT", "SETITEM", "SETITEMS"),
    *("BININT", "BININT1", "BININT2", "LONG1"),
    *("SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"),
}


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows.

    Attributes:
        ids: Each word's row of the word embedding; ``<start>``, ``<end>`` and ``<unk>`` are there.
    """

    ids: Mapping[str, int]


def read_vocabulary(path: Path) -> Vocabulary:
    """Reads a vocabulary as VSE++ and VSRN pickle it, or as SCAN writes it in JSON.

    Raises:
        CheckpointError: It is damaged, holds anything but words and numbers, or is none.
    """
    content = _content(path)
    read = _from_json if content.lstrip()[:1] == b"{" else _from_pickle
    return Vocabulary(_checked(read(content, path), path))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise CheckpointError(f"{path}: expected a vocabulary; {exc.strerror}") from exc
    if len(content) > _MAX_BYTES:
        raise CheckpointError(f"{path}: expected a vocabulary of at most {_MAX_BYTES} bytes")
    return content


def _from_json(content: bytes, path: Path) -> object:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise CheckpointError(f"{path}: expected a vocabulary in JSON; {exc}") from exc
    return data.get("word2idx")


class _PickledVocabulary:
    """Stands for ``vocab.Vocabulary``, and only keeps what that class held."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _VocabularyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _CLASSES:
            raise CheckpointError(f"expected only vocab.Vocabulary; got {module}.{name}")
        return _PickledVocabulary


def _from_pickle(content: bytes, path: Path) -> object:
    try:
        _check_opcodes(content)
        # Python 2 wrote <start> and its like as bytes.
        found = _VocabularyUnpickler(io.BytesIO(content), encoding="utf-8").load()
    except Exception as exc:  # damaged pickles raise almost anything
        raise CheckpointError(f"{path}: expected a pickled vocabulary; {exc}") from exc
    state = found.state if isinstance(found, _PickledVocabulary) else None
    return state.get("word2idx") if isinstance(state, dict) else None


def _check_opcodes(content: bytes) -> None:
    """Refuses all that could call something, and numbers that would make the reader allocate."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES:
            raise CheckpointError(
                f"expected an object saved with pickle.HIGHEST_PROTOCOL; got {opcode.name}"
            )
        if opcode.name == "LONG_BINPUT" and int(argument or 0) >= len(content):
            raise CheckpointError(f"expected a place in the memo; got {argument}")


def _checked(words: object, path: Path) -> dict[str, int]:
    if not isinstance(words, dict) or not all(type(word) is str for word in words):
        raise CheckpointError(f"{path}: expected word2idx, words to numbers; there is none")
    ids = list(words.values())
    if not all(type(i) is int for i in ids) or sorted(ids) != list(range(len(ids))):
        raise CheckpointError(f"{path}: word2idx: expected each number from 0 to n - 1 once")
    if missing := [word for word in (START, END, UNKNOWN) if word not in words]:
        raise CheckpointError(f"{path}: word2idx: expected {', '.join(missing)}")
    return words
