r"""NLTK's ``word_tokenize`` of a lower-cased sentence, as a ``tokenizer.json``.

The checkpoints' captions were split by Punkt (sentences) and then by NLTK's Treebank rules
(words). Both are regular on lower-case text: every rule below replaces a pattern, often an empty
one between two characters, by a fixed string. Sentences are lines while the rules run, so that
``^`` and ``$`` mean a sentence's ends; at last the text is split at white space.

Punkt decides by upper case too. In lower case what is left of it is: a period ends a sentence
unless it is part of an ellipsis, follows one of the model's abbreviations, or follows a number or
a single letter and a lower-case word comes next. (Four words of Punkt's English model, such as
"administrators", would start a sentence even there.)
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase, Normalizer, Replace, Strip
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from refine_itr.converting.vocabulary import END, START, UNKNOWN, Vocabulary

_MAX_TOKENS = 256  # as many as the shipped text encoder reads

# A period that ends no sentence is this private character while sentences are told apart.
_HELD = "\ue000"
_REACH = 50  # how far a rule looks along a word: a hostile one costs no more than its length
_CLOSERS = r"""["')\]}‘’“”«»]"""
_NOT_IN_WORDS = r"""[)";}\]*:@'({\[‘’“”«»?!]"""
_WORD_START = r"""(?:^|(?<=[\s)";}\]*:@({\[`#&\-]))"""
_SENTENCE_END = r"(?:[?!]|(?<!\.)\.)"

_Rule = tuple[str, str]

_STARTING_QUOTES: list[_Rule] = [
    (r"(?=[«“‘„])|(?<=[«“‘„])|(?<!`)(?=`)|(?<=`)(?!`)", " "),
    (r'^"', "``"),
    (r"``", " `` "),
    (r"""(?<=[ (\[{<])(?:"|'')""", " `` "),
    (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "' "),
]
_PUNCTUATION: list[_Rule] = [
    (r"""(?<=[^.\n])\.(?=[\])}>"'»”’ ]*$)""", " . "),
    # Two marks in a row count as one mark and what follows it: every other one is split off.
    (r"(?<![:,])(?:[:,][:,])*\K(?=[:,][^\d\n])", " "),
    (r"(?<= [:,])(?=[^\d\n])", " "),
    (r"(?=[:,]$)|(?<=[:,])$", " "),
    (r"(?<!\.)(?=\.\.)|(?<=\.\.)(?!\.)", " "),
    (r"(?=[;@#$%&‒-―?!*])|(?<=[;@#$%&‒-―?!*])", " "),
    (r"(?<=[^'\n])'(?= )", " '"),
    (r"(?=[\]\[(){}<>])|(?<=[\]\[(){}<>])", " "),
    (r"--", " -- "),
    (r"^|$", " "),
]
_ENDING_QUOTES: list[_Rule] = [
    (r"(?=[»”’])|(?<=[»”’])", " "),
    (r"''", " '' "),
    (r'"', " '' "),
    (r" +", " "),
    (r"(?<=[^' ])(?='[smd]? )", " "),
    (r"(?<=[^' ])(?=(?:'ll|'re|'ve|n't) )", " "),
]
_CONTRACTIONS: list[_Rule] = [
    (r"\bcannot\b", " can not "),
    (r"\bd'ye\b", " d 'ye "),
    (r"\bgimme\b", " gim me "),
    (r"\bgonna\b", " gon na "),
    (r"\bgotta\b", " got ta "),
    (r"\blemme\b", " lem me "),
    (r"\bmore'n\b", " more 'n "),
    (r"\bwanna(?=\s)", " wan na "),
    (r" 'tis\b", " 't is "),
    (r" 'twas\b", " 't was "),
]


def make_tokenizer(vocabulary: Vocabulary, abbreviations: Iterable[str]) -> Tokenizer:
    """Returns the tokenizer of a checkpoint: ``<start>``, NLTK's words in lower case, ``<end>``.

    Args:
        vocabulary: Words and their ids.
        abbreviations: Punkt's, lower case, without their last period.
    """
    tokenizer = Tokenizer(WordLevel(dict(vocabulary.ids), unk_token=UNKNOWN))
    tokenizer.normalizer = word_normalizer(abbreviations)
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(word, vocabulary.ids[word]) for word in (START, END)],
    )
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer


def word_normalizer(abbreviations: Iterable[str]) -> Normalizer:
    """Returns what puts white space between the words of a sentence, and nowhere else."""
    words = [*_STARTING_QUOTES, *_PUNCTUATION, *_ENDING_QUOTES, *_CONTRACTIONS]
    rules = [*_sentence_rules(abbreviations), *words]
    return Normalizers(
        [
            Lowercase(),
            Replace(Regex(r"\s+"), " "),
            Strip(left=False),
            *(Replace(Regex(pattern), text) for pattern, text in rules),
        ]
    )


def _sentence_rules(abbreviations: Iterable[str]) -> list[_Rule]:
    """What Punkt does to lower-case text: a sentence a line."""
    # The longest first: the first alternative that fits is taken.
    known = "|".join(sorted(map(_escaped, abbreviations), key=len, reverse=True))
    short = rf"{_WORD_START}(?:{known})\K\."
    single = rf"{_WORD_START}(?:\p{{L}}|-?[.,]?\d[\d,.\-]{{0,{_REACH}}})\K\."
    # Punkt looks at a word and the next together, and takes an end in either for this one.
    next_word = rf"(?= (?!\S{{0,{_REACH}}}{_SENTENCE_END}{_NOT_IN_WORDS}))"
    goes_on = r"(?= (?:[\p{Ll};:,?!]|\.(?!\S)))"
    closed = rf"{_CLOSERS}+(?: |$|--)"
    another = rf"\S{{0,{_REACH}}}{_SENTENCE_END}(?:{_NOT_IN_WORDS}| \S)"
    return [
        (rf"{short}(?={_NOT_IN_WORDS})|{single}(?=[;:?!])", _HELD),
        (rf"{short}{next_word}|{single}{next_word}{goes_on}", _HELD),
        # Of several ends in one word the last one counts; marks that close stay with it.
        (rf"{_SENTENCE_END}\K(?!{closed}|{another})(?={_NOT_IN_WORDS})", "\n"),
        (rf"{_SENTENCE_END}{_CLOSERS}*\K (?=\S)", "\n"),
        (_HELD, "."),
    ]


def _escaped(word: str) -> str:
    return "".join(c if c.isalnum() else f"\\{c}" for c in word)
