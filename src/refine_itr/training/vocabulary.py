"""Words and ids: which words a model knows, and the ``tokenizer.json`` that splits sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import NFD, Lowercase, StripAccents
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"
SPECIAL_TOKENS = (PAD, START, END, UNKNOWN)  # VSRN's ids, 0 to 3
PAD_ID, START_ID, END_ID, UNKNOWN_ID = range(len(SPECIAL_TOKENS))

_MAX_TOKENS = 256  # as many as the shipped text encoder reads

_normalizer = Normalizers([NFD(), Lowercase(), StripAccents()])
_splitter = Split(Regex(r"\w+"), behavior="removed", invert=True)


def split_words(sentence: str) -> list[str]:
    """The words of a sentence as the tokenizer sees them: lower case, no accents, no marks."""
    words = _splitter.pre_tokenize_str(_normalizer.normalize_str(sentence))
    return [word for word, _ in words]


def choose_words(
    sentences: Iterable[str], min_count: int, more: Sequence[str] = (), n_more: int = 0
) -> list[str]:
    """The vocabulary without special tokens, most frequent words first.

    Args:
        sentences: Training sentences.
        min_count: Words seen less often are left out.
        more: Further words, best first, e.g. a sentence model's.
        n_more: How many of those are taken that the sentences do not bring.
    """
    counts = Counter(word for sentence in sentences for word in split_words(sentence))
    words = [word for word, count in counts.most_common() if count >= min_count]
    known = set(words)
    fresh = (word for word in more if word not in known and split_words(word) == [word])
    return words + [word for word, _ in zip(fresh, range(n_more), strict=False)]


def make_tokenizer(words: Sequence[str]) -> Tokenizer:
    """The tokenizer: ``<start> words <end>``; unknown words become ``<unk>``."""
    ids = {word: index for index, word in enumerate([*SPECIAL_TOKENS, *words])}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = _normalizer
    tokenizer.pre_tokenizer = _splitter
    tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, START_ID), (END, END_ID)]
    )
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer
