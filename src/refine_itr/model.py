"""A loaded model: pictures and sentences to unit vectors of one space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from refine_itr import _core
from refine_itr.errors import BundleError, InvalidInputError, PictureError
from refine_itr.types import FloatArray, Picture, PictureSource, RegionDetector

if TYPE_CHECKING:
    from refine_itr.bundle import BundleConfig
    from refine_itr.encoding import ImageEncoder, TextEncoder
    from refine_itr.pipeline import EmbeddedBatch

Source = TypeVar("Source", bound=PictureSource)

_BATCH_SIZE = 16


class Model:
    """Detector, image encoder and text encoder of one bundle. Make it with ``load``.

    Any number of threads may call its methods at the same time.

    Attributes:
        config: The architecture.
        fingerprint: Names the weights, tokenizer and detector; an index remembers it.
        detector: Finds the regions of a picture.
        threads: Threads that each native call and each detector run may use.
    """

    def __init__(
        self,
        config: BundleConfig,
        fingerprint: str,
        detector: RegionDetector,
        image_encoder: ImageEncoder,
        text_encoder: TextEncoder,
        threads: int,
    ) -> None:
        self.config = config
        self.fingerprint = fingerprint
        self.detector = detector
        self.threads = threads
        self._image_encoder = image_encoder
        self._text_encoder = text_encoder

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""
        return self.config.dim

    def embed_images(self, pictures: Iterable[PictureSource]) -> FloatArray:
        """Embeds pictures.

        Args:
            pictures: n pictures: paths, encoded bytes, PIL images or uint8 arrays.

        Returns:
            float32 (n, D), unit norm, in the order of the pictures.

        Raises:
            PictureError: One of them cannot be read; the message says which.
            InvalidInputError: One of them is no picture at all, e.g. a ``str``.
        """
        if isinstance(pictures, str | bytes | Path) or not isinstance(pictures, Iterable):
            raise InvalidInputError(
                f"pictures: expected several pictures, e.g. a list; got {type(pictures).__name__}"
            )
        embeddings = [np.empty((0, self.dim), np.float32)]
        for batch in self.embed_image_stream(pictures):
            for failure in batch.failures:
                raise PictureError(f"{_name(failure.item)}: {failure.reason}")
            embeddings.append(batch.embeddings)
        return np.concatenate(embeddings)

    def embed_image_stream(self, pictures: Iterable[Source]) -> Iterator[EmbeddedBatch[Source]]:
        """Embeds pictures batch by batch in bounded memory, decoding ahead.

        An unreadable picture is handed on as a failure of its batch and stops nothing.
        """
        from refine_itr.decoding import decode
        from refine_itr.pipeline import embed_stream

        return embed_stream(
            pictures,
            partial(decode, size=self.detector.picture_size),
            self._embed_decoded,
            batch_size=_BATCH_SIZE,
            workers=self.threads,
        )

    def embed_texts(self, sentences: Sequence[str]) -> FloatArray:
        """Embeds sentences.

        Args:
            sentences: n sentences; words beyond the 256th of a sentence are not read.

        Returns:
            float32 (n, D), unit norm.

        Raises:
            InvalidInputError: One of them is no ``str``.
        """
        return self._text_encoder.encode(sentences)

    def _embed_decoded(self, pictures: Sequence[Picture]) -> FloatArray:
        return self._image_encoder.encode(self.detector.detect(pictures).features)


def load(name: str | Path = "default", *, threads: int = 0) -> Model:
    """Loads a model.

    Args:
        name: ``"default"`` for the model that comes with the package, or a bundle's folder.
        threads: Threads of each native call and detector run; 0 means all cores.

    Raises:
        BundleError: There is no such bundle, or it is damaged; the message says how.
        DetectorError: ONNX Runtime does not accept its detector.
        InvalidInputError: ``threads`` is negative, or REFINE_ITR_ISA names no instruction set
            of this machine.
    """
    from refine_itr.bundle import default_bundle, read_bundle
    from refine_itr.detection import OnnxGridDetector
    from refine_itr.encoding import ImageEncoder, TextEncoder

    if threads < 0:
        raise InvalidInputError(f"threads: expected 0 (all cores) or more, got {threads}")
    try:
        _core.isa()  # looks at REFINE_ITR_ISA
    except ValueError as exc:
        raise InvalidInputError(str(exc)) from exc
    threads = threads or _core.max_threads()
    folder = default_bundle() if name == "default" else Path(name)
    if not str(name) or not folder.is_dir():
        raise BundleError(f"expected 'default' or a bundle's folder; got '{name}'")
    bundle = read_bundle(folder)
    config = bundle.config
    detector = OnnxGridDetector(
        bundle.detector_path,
        input_size=config.detector.input_size,
        grid=config.detector.grid,
        features=config.image.features,
        threads=threads,
    )
    return Model(
        config,
        bundle.fingerprint,
        detector,
        ImageEncoder(config, bundle.weights, threads),
        TextEncoder(config, bundle.weights, bundle.tokenizer_json, threads),
        threads,
    )


def _name(picture: object) -> str:
    return str(picture) if isinstance(picture, Path) else f"a picture ({type(picture).__name__})"
