"""``config.json``: the architecture of a model, and the strict reader of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from refine_itr.errors import BundleError

FORMAT = "refine-itr-bundle"
VERSION = 1

T = TypeVar("T")


@dataclass(frozen=True)
class _Between:
    low: int
    high: int

    def check(self, value: object, where: str) -> None:
        if not self.low <= value <= self.high:  # type: ignore[operator]  # the type came first
            raise BundleError(
                f"config.json: {where}: expected {self.low} to {self.high}, got {value}"
            )


class _OneOf:
    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def check(self, value: object, where: str) -> None:
        if value not in self.choices:
            raise BundleError(
                f"config.json: {where}: expected one of {', '.join(self.choices)}; got {value!r}"
            )


@dataclass(frozen=True)
class ImageConfig:
    """The image encoder: fc, graph layers, l2norm, pooling, l2norm.

    Attributes:
        regions: K, regions a picture.
        features: C, features a region.
        graph: Kind of the graph layers; equation 3 of the paper is "light-gcn", equations 1
            and 2 are "vsrn-gcn".
        layers: Number of graph layers.
        scale_affinity: Divide the K x K relation by K, as VSRN's code does. The paper does not
            say whether Light-GCN keeps it.
        batch_norm: W_r ends in a BatchNorm, as in VSRN's code.
        normalize_projection: l2norm after fc (VSRN's COCO weights).
        norm_axis: Axis of the l2norm before pooling: over the regions (VSRN), over the features
            of each region, or none.
        pooling: Last hidden state of a GRU over the regions, their mean, or for each feature
            the mean of its ``pool_top`` largest values.
        pool_top: Only for "max-of-top".
        embedding_batch_norm: BatchNorm after pooling (VSRN's Flickr30K weights).
    """

    regions: Annotated[int, _Between(1, 4096)]
    features: Annotated[int, _Between(1, 65536)]
    graph: Annotated[str, _OneOf("light-gcn", "vsrn-gcn", "none")]
    layers: Annotated[int, _Between(0, 64)]
    scale_affinity: bool
    batch_norm: bool
    normalize_projection: bool
    norm_axis: Annotated[str, _OneOf("region", "feature", "none")]
    pooling: Annotated[str, _OneOf("gru", "mean", "max-of-top")]
    pool_top: Annotated[int, _Between(1, 4096)]
    embedding_batch_norm: bool


@dataclass(frozen=True)
class TextConfig:
    """The text encoder: word embedding, one-layer GRU, pooling over the words, l2norm."""

    vocabulary: Annotated[int, _Between(1, 1_000_000)]
    word_dim: Annotated[int, _Between(1, 65536)]
    pooling: Annotated[str, _OneOf("last", "mean")]


@dataclass(frozen=True)
class DetectorConfig:
    """The ONNX detector: a ``grid`` x ``grid`` raster of cells as regions.

    Pictures are resized to a square of ``input_size`` pixels without regard to their aspect.
    """

    kind: Annotated[str, _OneOf("grid")]
    input_size: Annotated[int, _Between(8, 4096)]
    grid: Annotated[int, _Between(1, 64)]


@dataclass(frozen=True)
class BundleConfig:
    """A whole model; ``dim`` is D, the length of an embedding.

    ``detector`` is None (null) where the regions' features come from files.
    """

    dim: Annotated[int, _Between(1, 16384)]
    image: ImageConfig
    text: TextConfig
    detector: DetectorConfig | None

    @classmethod
    def from_json(cls, data: object) -> BundleConfig:
        """Reads the parsed ``config.json``.

        Raises:
            BundleError: It is of another format or version, a key is missing or unknown, or a
                value has the wrong type or is out of range.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise BundleError(f'config.json: expected an object with "format": "{FORMAT}"')
        if data.get("version") != VERSION:
            raise BundleError(
                f"config.json: expected version {VERSION}, got {data.get('version')!r}"
            )
        body = {k: v for k, v in data.items() if k not in ("format", "version")}
        config = _read(cls, body, "")
        config._check_consistency()
        return config

    def to_json(self) -> dict[str, object]:
        """Returns the content of ``config.json``."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}

    def _check_consistency(self) -> None:
        image, detector = self.image, self.detector
        if detector is not None and image.regions != detector.grid**2:
            raise BundleError(
                f"config.json: image.regions: expected detector.grid squared = "
                f"{detector.grid**2}, got {image.regions}"
            )
        if image.pooling == "max-of-top" and image.pool_top > image.regions:
            raise BundleError(
                f"config.json: image.pool_top: expected at most {image.regions} "
                f"(image.regions), got {image.pool_top}"
            )
        if image.normalize_projection and image.norm_axis == "none":
            raise BundleError(
                "config.json: image.norm_axis: expected region or feature with "
                "normalize_projection; got 'none'"
            )
        if (image.graph == "none") != (image.layers == 0):
            raise BundleError(
                f'config.json: image.layers: expected 0 exactly when graph is "none"; '
                f"got {image.layers} with {image.graph!r}"
            )


def _read(kind: type[T], data: object, where: str) -> T:
    """Reads one dataclass from parsed JSON: no key missing, none unknown, every value checked."""
    name = where or "the top level"
    if not isinstance(data, dict):
        raise BundleError(f"config.json: {name}: expected an object, got {data!r}")
    hints = get_type_hints(kind, include_extras=True)
    if missing := sorted(hints.keys() - data.keys()):
        raise BundleError(f"config.json: {name}: missing {', '.join(missing)}")
    if unknown := sorted(map(str, data.keys() - hints.keys())):
        raise BundleError(f"config.json: {name}: unknown {', '.join(unknown)}")
    prefix = f"{where}." if where else ""
    return kind(**{key: _value(data[key], hint, prefix + key) for key, hint in hints.items()})


def _value(value: object, hint: Any, where: str) -> object:
    if NoneType in get_args(hint):
        (hint,) = set(get_args(hint)) - {NoneType}
        return None if value is None else _value(value, hint, where)
    if dataclasses.is_dataclass(hint):
        return _read(hint, value, where)  # type: ignore[arg-type]
    kind, *rules = get_args(hint) or (hint,)
    # type() and not isinstance(): to Python True is an int, in JSON it is not.
    if type(value) is not kind:
        raise BundleError(f"config.json: {where}: expected {kind.__name__}, got {value!r}")
    for rule in rules:
        rule.check(value, where)
    return value
