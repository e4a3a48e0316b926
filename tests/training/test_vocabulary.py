"""Words, ids and the tokenizer that goes into the bundle."""

from __future__ import annotations

from tokenizers import Tokenizer

from refine_itr.training.vocabulary import choose_words, make_tokenizer, split_words


def test_words_are_lower_case_without_accents_or_marks() -> None:
    assert split_words("A Café, two-tone; the man's 3rd!") == [
        *("a", "cafe", "two", "tone", "the", "man", "s", "3rd")
    ]


def test_choice_by_count_then_more() -> None:
    sentences = ["a dog", "A cat", "a dog runs"]
    assert choose_words(sentences, 2) == ["a", "dog"]
    more = ["dog", "bird", "two words", "cat", "fish"]
    assert choose_words(sentences, 2, more, 2) == ["a", "dog", "bird", "cat"]
    assert choose_words(sentences, 1, more, 9) == ["a", "dog", "cat", "runs", "bird", "fish"]


def test_ids_survive_the_file() -> None:
    tokenizer = Tokenizer.from_str(make_tokenizer(["a", "dog"]).to_str())
    assert tokenizer.encode("A dog, a ZEBRA.").ids == [1, 4, 5, 4, 3, 2]
    assert tokenizer.encode("").ids == [1, 2]
    assert tokenizer.get_vocab() == {
        **{"<pad>": 0, "<start>": 1, "<end>": 2, "<unk>": 3},
        **{"a": 4, "dog": 5},
    }
    assert len(tokenizer.encode("a " * 1000).ids) == 256
