"""Vocabularies in each form, and all that a pickle must not do."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vsrn import WORDS, pickle_vocabulary, save_vocabulary

from refine_itr.converting.vocabulary import read_vocabulary
from refine_itr.errors import CheckpointError


@pytest.mark.parametrize("module", ["__main__", "vocab"])
def test_python_2_pickles(module: str, tmp_path: Path) -> None:
    words = [*WORDS, "café"]
    file = save_vocabulary(tmp_path / "v.pkl", words, module)
    assert read_vocabulary(file).ids == {word: i for i, word in enumerate(words)}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_this_python(protocol: int, tmp_path: Path) -> None:
    words = [*WORDS, *(f"word {i}" for i in range(70_000))]  # every kind of number and place
    file = pickle_vocabulary(tmp_path / "v.pkl", protocol, words)
    assert read_vocabulary(file).ids == {word: i for i, word in enumerate(words)}


def test_json(tmp_path: Path) -> None:
    file = save_vocabulary(tmp_path / "v.json")
    assert read_vocabulary(file).ids == {word: i for i, word in enumerate(WORDS)}


class Hostile:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrapped", [False, True])
def test_hostile_pickles_do_nothing(protocol: int, wrapped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for call in [(os.mkdir, (str(mark),)), (eval, (f"open({str(mark)!r}, 'w')",))]:
        hostile = Hostile(*call)
        file = tmp_path / "v.pkl"
        file.write_bytes(pickle.dumps({"word2idx": hostile} if wrapped else hostile, protocol))
        with pytest.raises(CheckpointError, match="expected"):
            read_vocabulary(file)
    assert not mark.exists()


BAD = [
    (b"\x80\x02cos\nsystem\n)\x81.", "expected only vocab.Vocabulary; got os.system"),
    (b"\x80\x02cvocab\nVocabulary\n)R.", "expected an object saved with.*got REDUCE"),
    (b"(lp0\n.", "expected an object saved with.*; got LIST"),
    # One byte of memo index, four billion places.
    (b"\x80\x02}r\xff\xff\xff\xff.", "expected a place in the memo; got 4294967295"),
    (b"\x80\x02X\xff\xff\xff\x7fabc.", "expected a pickled vocabulary"),
    (b"\x80\x02cvocab\nVocabulary\n}b.", "expected a pickled vocabulary"),
    (b"\x80\x02}.", "expected word2idx"),
    (b"\x80\x02cvocab\nVocabulary\n)\x81K\x01b.", "expected word2idx"),
    (b"", "expected a pickled vocabulary"),
    (b"{", "expected a vocabulary in JSON"),
    (b'{"a": 1}', "expected word2idx"),
    (b'{"word2idx": [1]}', "expected word2idx"),
    (b'{"word2idx": {"a": 1}}', "each number from 0 to n - 1 once"),
    (b'{"word2idx": {"a": true}}', "each number from 0 to n - 1 once"),
    (b'{"word2idx": {"<start>": 0, "a": 1}}', "expected <end>, <unk>"),
    (b"[" * 100_000, "expected a pickled vocabulary"),
    (b'{"a":' * 100_000, "expected a vocabulary in JSON"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_vocabularies(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "v"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_vocabulary(file)


def test_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_vocabulary(tmp_path / "none.pkl")
    with (tmp_path / "large.pkl").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(CheckpointError, match="of at most"):
        read_vocabulary(tmp_path / "large.pkl")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_is_an_error_or_a_vocabulary(data: st.DataObject, tmp_path: Path) -> None:
    file = save_vocabulary(tmp_path / "v.pkl")
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        ids = read_vocabulary(file).ids
    except CheckpointError:
        pass
    else:
        assert sorted(ids.values()) == list(range(len(ids)))
        assert json.dumps(dict(ids))
