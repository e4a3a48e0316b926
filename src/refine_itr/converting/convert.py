"""A checkpoint and its vocabulary -> a bundle without a detector."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from refine_itr.bundle import BundleConfig, write_bundle
from refine_itr.bundle.schema import tolerated_weights
from refine_itr.converting.checkpoint import Checkpoint, read_checkpoint
from refine_itr.converting.layout import read_layout
from refine_itr.converting.vocabulary import Vocabulary, read_vocabulary
from refine_itr.errors import CheckpointError, MissingExtraError


def convert(
    checkpoint: Path,
    vocabulary: Path,
    out: Path,
    *,
    regions: int | None = None,
    scale_affinity: bool = True,
) -> BundleConfig:
    """Writes the bundle of a checkpoint in VSRN's layout.

    Args:
        checkpoint: ``model_best.pth.tar``.
        vocabulary: ``f30k_precomp_vocab.pkl``, or ``.json``.
        out: The bundle's folder; an existing bundle there is replaced.
        regions: K; None for what the weights say, 36 where they do not.
        scale_affinity: A Light-GCN's relation is divided by K; VSRN's always is.

    Returns:
        The architecture.

    Raises:
        CheckpointError: One of the files is damaged, unsafe, or of another layout.
        BundleError: Weights are missing or have other shapes, or ``out`` is something else.
        MissingExtraError: PyTorch or Punkt's model is not installed.
    """
    abbreviations = _punkt_abbreviations()
    words = read_vocabulary(vocabulary)
    saved = read_checkpoint(checkpoint)
    config, weights = read_layout(saved, regions=regions, scale_affinity=scale_affinity)
    if len(words.ids) != config.text.vocabulary:
        raise CheckpointError(
            f"{vocabulary}: expected the checkpoint's {config.text.vocabulary} words; "
            f"got {len(words.ids)}"
        )
    config = BundleConfig.from_json(config.to_json())  # every size within its bounds
    # tokenizers is heavy: only here is it needed.
    from refine_itr.converting.words import make_tokenizer

    write_bundle(
        out,
        config,
        {n: w for n, w in weights.items() if n not in tolerated_weights(config)},
        make_tokenizer(words, abbreviations).to_str(),
        None,
        _card(checkpoint, words, saved, config),
    )
    return config


def _punkt_abbreviations() -> frozenset[str]:
    """Punkt's English model, which comes with the extra."""
    if importlib.util.find_spec("punkt") is None:
        raise MissingExtraError("converting checkpoints", "convert")
    from punkt import load_model

    return frozenset(load_model("english").abbrev_types)


def _card(checkpoint: Path, words: Vocabulary, saved: Checkpoint, config: BundleConfig) -> str:
    image = config.image
    data = saved.options.get("data_name", "not stated")
    return f"""# {checkpoint.name}

Converted by `refine-itr convert`; nothing was trained or measured here.

* Training data (`data_name`): {data}
* Epoch: {saved.epoch}
* D = {config.dim}, {image.regions} regions x {image.features}, {image.layers} x {image.graph}
* {len(words.ids)} words, split as NLTK's `word_tokenize` does (the abbreviations in
  `tokenizer.json` are those of its Punkt model, Apache-2.0)
* Its regions come from files: the bundle has no detector.
* Licence: that of the checkpoint and its data.
"""
