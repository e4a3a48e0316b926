"""Sentences to embeddings: tokenizer, then the native GRU over gate inputs looked up per word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from refine_itr import _core
from refine_itr.bundle import BundleConfig
from refine_itr.encoding.folding import gate_table
from refine_itr.errors import BundleError, InvalidInputError
from refine_itr.types import FloatArray, Precision
from refine_itr.workspace import ThreadWorkspace

_MAX_TOKENS = 256
_TOKENIZER_BATCH = 4096  # bounds what the tokenizer holds at a time


class TextEncoder:
    """The text side of a model, folded and packed.

    Args:
        config: The architecture.
        weights: As trained, by name.
        tokenizer_json: In the `tokenizers` library's format.
        threads: Threads of a call.
        precision: Of the products with weights.

    Raises:
        BundleError: The tokenizer is damaged or has more words than there are weights for.
    """

    def __init__(
        self,
        config: BundleConfig,
        weights: Mapping[str, FloatArray],
        tokenizer_json: str,
        threads: int,
        precision: Precision = "fp32",
    ) -> None:
        self._dim = config.dim
        self._threads = threads
        self._tokenizer = _load_tokenizer(tokenizer_json, config.text.vocabulary)
        hidden, bias = weights["text.gru.weight_hh"], weights["text.gru.bias_hh"]
        w_hh = _core.PackedGates(hidden, bias, precision)
        self._native = _core.TextEncoder(
            gate_table(weights),
            w_hh,
            config.text.pooling,  # type: ignore[arg-type]  # the configuration is checked
        )
        self._workspace = ThreadWorkspace()

    def encode(self, sentences: Sequence[str]) -> FloatArray:
        """Returns float32 (n, D), unit norm (zeros for a sentence without any token)."""
        if isinstance(sentences, str):
            raise InvalidInputError("sentences: expected several, e.g. a list; got one str")
        for sentence in sentences:
            if not isinstance(sentence, str):
                raise InvalidInputError(f"sentence: expected a str; got {type(sentence).__name__}")
        out = np.empty((len(sentences), self._dim), np.float32)
        for start in range(0, len(sentences), _TOKENIZER_BATCH):
            part = slice(start, start + _TOKENIZER_BATCH)
            self._encode(sentences[part], out[part])
        return out

    def _encode(self, sentences: Sequence[str], out: FloatArray) -> None:
        encodings = self._tokenizer.encode_batch_fast(list(sentences))
        ids = [encoding.ids for encoding in encodings]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(row) for row in ids], out=offsets[1:])
        tokens = np.fromiter((i for row in ids for i in row), np.int32, int(offsets[-1]))
        self._native.encode(tokens, offsets, out, self._workspace.get(), threads=self._threads)


def _load_tokenizer(text: str, vocabulary: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as exc:  # the library raises bare Exception
        raise BundleError(f"tokenizer.json: expected a tokenizer; {exc}") from exc
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= vocabulary:
        raise BundleError(
            f"tokenizer.json: expected ids below text.vocabulary = {vocabulary}; got {highest}"
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer
