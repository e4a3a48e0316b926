"""``config.json``: the architecture of a model, and the strict reader of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from refine_itr.bundle.detector import AnyDetectorConfig
from refine_itr.bundle.reading import Between, OneOf, read_config
from refine_itr.errors import BundleError

FORMAT = "refine-itr-bundle"
VERSION = 1


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
            the mean of its ``pool_top`` largest values or, for "gpo", its values in descending
            order times K trained coefficients, added up (Chen et al., arXiv 2011.04305).
        pool_top: Only for "max-of-top".
        embedding_batch_norm: BatchNorm after pooling (VSRN's Flickr30K weights).
    """

    regions: Annotated[int, Between(1, 4096)]
    features: Annotated[int, Between(1, 65536)]
    graph: Annotated[str, OneOf("light-gcn", "vsrn-gcn", "none")]
    layers: Annotated[int, Between(0, 64)]
    scale_affinity: bool
    batch_norm: bool
    normalize_projection: bool
    norm_axis: Annotated[str, OneOf("region", "feature", "none")]
    pooling: Annotated[str, OneOf("gru", "mean", "max-of-top", "gpo")]
    pool_top: Annotated[int, Between(1, 4096)]
    embedding_batch_norm: bool


@dataclass(frozen=True)
class TextConfig:
    """The text encoder: word embedding, one-layer GRU, pooling over the words, l2norm."""

    vocabulary: Annotated[int, Between(1, 1_000_000)]
    word_dim: Annotated[int, Between(1, 65536)]
    pooling: Annotated[str, OneOf("last", "mean")]


@dataclass(frozen=True)
class BundleConfig:
    """A whole model; ``dim`` is D, the length of an embedding.

    ``detector`` is None (null) where the regions' features come from files.
    """

    dim: Annotated[int, Between(1, 16384)]
    image: ImageConfig
    text: TextConfig
    detector: AnyDetectorConfig | None

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
        config: BundleConfig = read_config(cls, body, "config.json")
        config._check_consistency()
        return config

    def to_json(self) -> dict[str, object]:
        """Returns the content of ``config.json``."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}

    def _check_consistency(self) -> None:
        image = self.image
        if self.detector is not None:
            self.detector.check_regions(image.regions)
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
