"""The converted tokenizer splits as NLTK's own word_tokenize does."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from punkt import load_model

from refine_itr.converting.vocabulary import Vocabulary
from refine_itr.converting.words import make_tokenizer, word_normalizer

_MODEL = load_model("english")
_NORMALIZER = word_normalizer(_MODEL.abbrev_types)


def _nltk_sentences() -> PunktSentenceTokenizer:
    """NLTK's splitter with the numbers of its own English model."""
    parameters = PunktParameters()
    parameters.abbrev_types = set(_MODEL.abbrev_types)
    parameters.collocations = set(_MODEL.collocations)
    parameters.sent_starters = set(_MODEL.sent_starters)
    parameters.ortho_context = defaultdict(int, _MODEL.ortho_context)
    tokenizer = PunktSentenceTokenizer()
    tokenizer._params = parameters
    return tokenizer


_SENTENCES, _WORDS = _nltk_sentences(), NLTKWordTokenizer()


def nltk_words(text: str) -> list[str]:
    """nltk.word_tokenize(text.lower())"""
    sentences = _SENTENCES.tokenize(text.lower())
    return [word for sentence in sentences for word in _WORDS.tokenize(sentence)]


def our_words(text: str) -> list[str]:
    return _NORMALIZER.normalize_str(text).split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog's toy.", "a dog 's toy ."),
        ("they can't, cannot; wanna go", "they ca n't , can not ; wan na go"),
        ('a "big dog" (brown) ...', "a `` big dog '' ( brown ) ..."),
        ("it costs $3.50, or 1,000 at 5:30", "it costs $ 3.50 , or 1,000 at 5:30"),
        ("a dog runs. it barks! ok?", "a dog runs . it barks ! ok ?"),
        ("dr. smith of the u.s. army", "dr. smith of the u.s. army"),
        ("player no. 5. he runs", "player no . 5. he runs"),
        ('he says "stop." then goes', "he says `` stop . '' then goes"),
        ("", ""),
    ],
)
def test_examples(text: str, words: str) -> None:
    assert our_words(text) == nltk_words(text) == words.split()


def test_every_sentence_of_flickr8k(flickr8k: Path) -> None:
    captions = [
        caption
        for file in sorted(flickr8k.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
        for caption in json.loads(line)["captions"]
    ]
    assert len(captions) == 35_000
    assert [c for c in captions if our_words(c) != nltk_words(c)] == []


_WORD = st.sampled_from(
    [
        "a",
        "dog",
        "man's",
        "dogs'",
        "can't",
        "Cannot",
        "gonna",
        "'tis",
        "wanna",
        "it's",
        "they're",
        "he'd",
        "t-shirt",
        "5",
        "3.5",
        "1,000",
        "$20",
        "50%",
        "#7",
        "&",
        "*",
        "...",
        "..",
        "a.m",
        "dr",
        "café",
        "naïve",
        "x",
        "o'clock",
    ]
)
_CLOSE = st.sampled_from(
    ["", "", "", ".", ",", "!", "?", ";", ":", '"', ")", '."', ".)", "...", "”"]
)
_OPEN = st.sampled_from(["", "", "", '"', "(", "[", "'"])

_MARKED = st.tuples(_OPEN, _WORD, _CLOSE).map("".join)
_SHORT = st.sampled_from(["mr.", "u.s.", "p.m.", "-", "--", "st.,"])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(_MARKED | _SHORT, max_size=8).map(" ".join))
@example("a,, b ,:c ::: d -- e - f")
@example("''a'' ``b`` c---d e....f")
def test_sentences(text: str) -> None:
    assert our_words(text) == nltk_words(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_split(text: str) -> None:
    """No rule fails, and only white space and quotes come or go."""

    def letters(words: list[str]) -> str:
        return "".join(c for c in "".join(words) if c not in "\"'`" and not c.isspace())

    assert letters(our_words(text)) == letters(our_words(text.lower()))


@pytest.mark.parametrize("part", ["a.", "1-", "5.,", '"', "'s ", "a.) ", "::", "!?", "mr. "])
def test_long_words_take_time_in_proportion(part: str) -> None:
    def seconds(n: int) -> float:
        started = time.process_time()
        _NORMALIZER.normalize_str(part * n)
        return time.process_time() - started

    assert seconds(20_000) < 60 * max(seconds(1000), 0.01)  # quadratic would be 400


def test_ids() -> None:
    words = ["<pad>", "<start>", "<end>", "<unk>", "a", "dog", "n't", "can", "not", "."]
    tokenizer = make_tokenizer(Vocabulary({w: i for i, w in enumerate(words)}), ["mr"])
    assert tokenizer.encode("A dog cannot. <end>").ids == [1, 4, 5, 7, 8, 9, 3, 3, 3, 2]
    assert tokenizer.encode("").ids == [1, 2]
    assert len(tokenizer.encode("dog " * 1000).ids) == 256
