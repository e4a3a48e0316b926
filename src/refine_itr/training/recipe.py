"""Every choice of a training run in one place; the defaults made the default bundle."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from refine_itr.bundle import (
    AnyDetectorConfig,
    BundleConfig,
    DetectorConfig,
    ImageConfig,
    TextConfig,
)
from refine_itr.errors import InvalidInputError
from refine_itr.training.backbone import BLOCKS, FEATURES, STRIDE

_CHOICES = {
    "graph": ("light-gcn", "vsrn-gcn", "none"),
    "norm_axis": ("region", "feature", "none"),
    "pooling": ("gru", "mean", "max-of-top", "gpo"),
    "text_pooling": ("last", "mean"),
    "loss": ("info-nce", "hinge"),
    "keep_epoch": ("best", "last"),
    "precision": ("bfloat16", "float32"),
}
_SHARES = (
    "dropout",
    "drop_regions",
    "drop_words",
    "soft_targets",
    "view_min_area",
    "view_jitter",
    "ema_decay",
)


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Attributes:
        dim: D, length of an embedding.
        word_dim: E, length of a word vector; 384 with word vectors of the sentence model.
        graph: Kind of the graph layers, see ``ImageConfig``; so are the six that follow.
        min_word_count: Words seen less often in the training sentences are unknown.
        extra_words: Words added to the vocabulary from the sentence model's own, most frequent
            first; they have word vectors although training never sees them.
        input_size: S: pictures are squashed to S x S pixels; the grid has S / 32 - 1 cells a side.
        fine_tune: Train the backbone's late blocks too; otherwise it is as on ImageNet.
        frozen_blocks: Blocks of the backbone (of 16) before the fine-tuned ones. What the frozen
            part makes of each picture is cached.
        views: Cached views of each training picture: itself, then random crops with flips and
            colour jitter.
        view_min_area: Least share of the picture that a crop keeps.
        view_jitter: Brightness, contrast and colour change by up to this share.
        batch_size: Pictures a batch.
        sentences: Sentences of each picture in a batch, drawn anew.
        epochs: Passes over the pictures.
        warmup_epochs: The learning rate rises over these, then follows a cosine to zero.
        learning_rate: Of the encoders.
        backbone_rate: Of the backbone, after ``backbone_delay`` epochs.
        backbone_delay: Epochs in which the backbone rests while the encoders find their feet.
        embedding_rate: Of the word vectors; 0 freezes them.
        weight_decay: AdamW's, on matrices only.
        clip: Largest norm of the whole gradient.
        ema_decay: Of the moving average of the weights, which is what is measured and exported;
            0 takes the weights as they are.
        dropout: Of region features and word vectors.
        drop_regions: Share of regions dropped in training; pooling "gpo" then pools the others.
        drop_words: Share of words made unknown in training.
        loss: "info-nce" with a learned temperature, or "hinge" with the hardest negatives.
        temperature: InfoNCE's at the start.
        margin: The hinge's.
        hinge_warmup_epochs: The hinge counts all negatives in these: hardest ones collapse a
            fresh model.
        teacher: Use the sentence model (word vectors, soft targets, distillation).
        soft_targets: Share of InfoNCE's target mass spread by the sentence model's similarity.
        soft_temperature: Of that spreading.
        teacher_contrast: Weight of a second InfoNCE, between image embeddings, mapped into the
            sentence model's space, and its embeddings of the sentences.
        distill_text: Weight of the loss that draws sentence embeddings to the sentence model's.
        distill_image: The same for image embeddings and the mean of their sentences.
        keep_epoch: "best" measures every epoch on the validation split and exports the best one;
            "last" chooses nothing by that split.
        precision: "bfloat16" multiplies in bfloat16 where PyTorch's autocast allows it.
        seed: Of all that is random.
    """

    dim: int = 768
    word_dim: int = 384
    graph: str = "light-gcn"
    layers: int = 2
    scale_affinity: bool = True
    batch_norm: bool = True
    norm_axis: str = "feature"
    pooling: str = "mean"
    pool_top: int = 1
    normalize_projection: bool = False
    embedding_batch_norm: bool = False
    text_pooling: str = "last"
    min_word_count: int = 1
    extra_words: int = 8000
    input_size: int = 224
    fine_tune: bool = True
    frozen_blocks: int = 6
    views: int = 8
    view_min_area: float = 0.4
    view_jitter: float = 0.3
    batch_size: int = 128
    sentences: int = 3
    epochs: int = 16
    warmup_epochs: float = 1.0
    learning_rate: float = 1e-3
    backbone_rate: float = 2e-4
    backbone_delay: float = 1.0
    embedding_rate: float = 3e-4
    weight_decay: float = 0.05
    clip: float = 2.0
    ema_decay: float = 0.999
    dropout: float = 0.3
    drop_regions: float = 0.1
    drop_words: float = 0.1
    loss: str = "info-nce"
    temperature: float = 0.05
    margin: float = 0.2
    hinge_warmup_epochs: int = 1
    teacher: bool = True
    soft_targets: float = 0.3
    soft_temperature: float = 0.05
    teacher_contrast: float = 0.5
    distill_text: float = 1.0
    distill_image: float = 0.5
    keep_epoch: str = "best"
    precision: str = "bfloat16"
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value; raises ``InvalidInputError`` naming the first bad one."""
        for name, kind in get_type_hints(Recipe).items():
            _check(name, getattr(self, name), kind)
        if self.input_size % STRIDE or self.input_size < 2 * STRIDE:
            raise _bad("input_size", f"a multiple of {STRIDE}, at least {2 * STRIDE}", self)
        if self.frozen_blocks > BLOCKS:
            raise _bad("frozen_blocks", f"at most {BLOCKS}", self)
        if (self.graph == "none") != (self.layers == 0):
            raise _bad("layers", '0 exactly when graph is "none"', self)
        if self.extra_words and not self.teacher:
            raise _bad("extra_words", "0 without the sentence model (teacher)", self)
        if self.ema_decay >= 1.0:
            raise _bad("ema_decay", "less than 1", self)

    @property
    def grid(self) -> int:
        """Cells along each side of a picture."""
        return self.input_size // STRIDE - 1

    def bundle_config(
        self,
        vocabulary: int,
        regions: int | None = None,
        features: int = FEATURES,
        detector: AnyDetectorConfig | Literal["grid"] | None = "grid",
    ) -> BundleConfig:
        """The architecture for a vocabulary, and for K x C features that come ready-made.

        Args:
            vocabulary: Words.
            regions: K; None for the grid's.
            features: C.
            detector: What finds the regions; None for a bundle that takes them from files only.

        Raises:
            InvalidInputError: ``regions`` is not a square, with a grid.
            BundleError: ``detector`` gives another number of regions.
        """
        regions = self.grid**2 if regions is None else regions
        if detector == "grid":
            detector = self._grid_config(regions)
        if detector is not None:
            detector.check_regions(regions)
        image = ImageConfig(
            regions=regions,
            features=features,
            graph=self.graph,
            layers=self.layers,
            scale_affinity=self.scale_affinity,
            batch_norm=self.batch_norm,
            normalize_projection=self.normalize_projection,
            norm_axis=self.norm_axis,
            pooling=self.pooling,
            pool_top=self.pool_top,
            embedding_batch_norm=self.embedding_batch_norm,
        )
        text = TextConfig(vocabulary=vocabulary, word_dim=self.word_dim, pooling=self.text_pooling)
        return BundleConfig(self.dim, image, text, detector)

    def _grid_config(self, regions: int) -> DetectorConfig:
        grid = math.isqrt(regions)
        if grid**2 != regions:
            raise InvalidInputError(f"features: expected a square number of regions, got {regions}")
        return DetectorConfig("grid", self.input_size, grid)


def read_recipe(path: Path | None, changes: dict[str, Any] | None = None) -> Recipe:
    """The default recipe, changed by a JSON object of some of its fields, then by ``changes``.

    Raises:
        InvalidInputError: The file is no such object, or a value is out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as exc:
            raise InvalidInputError(f"{path}: expected a recipe in JSON; {exc}") from exc
        if not isinstance(values, dict):
            raise InvalidInputError(f"{path}: expected a JSON object; got {type(values).__name__}")
    values |= changes or {}
    names = {field.name for field in dataclasses.fields(Recipe)}
    if unknown := sorted(values.keys() - names):
        raise InvalidInputError(f"recipe: unknown {', '.join(unknown)}")
    return Recipe(**values)


def _check(name: str, value: object, kind: type) -> None:
    if kind is float and type(value) is int:
        return _check(name, float(value), kind)
    # type() and not isinstance(): to Python True is an int.
    if type(value) is not kind:
        raise InvalidInputError(f"recipe: {name}: expected {kind.__name__}; got {value!r}")
    if name in _CHOICES and value not in _CHOICES[name]:
        expected = f"one of {', '.join(_CHOICES[name])}"
        raise InvalidInputError(f"recipe: {name}: expected {expected}; got {value!r}")
    if isinstance(value, int | float) and not (math.isfinite(value) and value >= _least(name)):
        raise InvalidInputError(f"recipe: {name}: expected at least {_least(name)}; got {value!r}")
    if name in _SHARES and isinstance(value, float) and value > 1:
        raise InvalidInputError(f"recipe: {name}: expected at most 1; got {value!r}")
    return None


def _least(name: str) -> float:
    if name in ("temperature", "soft_temperature"):
        return 1e-3
    positive = (
        *("dim", "word_dim", "min_word_count", "views", "batch_size", "sentences", "epochs"),
        "pool_top",
    )
    return 1 if name in positive else 0


def _bad(name: str, expected: str, recipe: Recipe) -> InvalidInputError:
    got = getattr(recipe, name)
    return InvalidInputError(f"recipe: {name}: expected {expected}; got {got!r}")
