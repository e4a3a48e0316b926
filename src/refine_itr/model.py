"""A loaded model: pictures and sentences to unit vectors of one space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from refine_itr import _core
from refine_itr.errors import DetectorError, InvalidInputError, PictureError
from refine_itr.types import PRECISIONS, FloatArray, Picture, PictureSource, Precision

if TYPE_CHECKING:
    from refine_itr.bundle import Bundle, BundleConfig
    from refine_itr.detection import Detector, DetectorPool
    from refine_itr.encoding import ImageEncoder, TextEncoder
    from refine_itr.pipeline import Outcome, Overflow, Pipeline, Stage
    from refine_itr.planning import Plan, PlannedStage
    from refine_itr.scoring import Calibration

Source = TypeVar("Source", bound=PictureSource)


class Model:
    """Detectors, image encoder and text encoder of one bundle. Make it with ``load``.

    Any number of threads may call its methods at the same time. ``close`` gives its devices
    back; a ``with`` block does so by itself.

    Attributes:
        config: The architecture.
        fingerprint: Names the weights, tokenizer and detector; an index remembers it.
        plan: Which device, how many workers and threads, and which batches each stage has.
        image_encoder: Regions to embeddings.
        threads: Threads that each native call and each detector run may use.
        calibration: Corrects hubs and tells relevances, see docs/scores.md; None: the bundle
            has none.
    """

    def __init__(
        self,
        config: BundleConfig,
        fingerprint: str,
        plan: Plan,
        pool: DetectorPool,
        image_encoder: ImageEncoder,
        text_encoder: TextEncoder,
        threads: int,
        calibration: Calibration | None = None,
    ) -> None:
        self.config = config
        self.fingerprint = fingerprint
        self.plan = plan
        self._pool = pool
        self.threads = threads
        self.image_encoder = image_encoder
        self.calibration = calibration
        self._text_encoder = text_encoder

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the detectors' devices back. The model embeds no more pictures."""
        self._pool.close()

    @property
    def has_detector(self) -> bool:
        """Whether it embeds pictures; otherwise only regions' features, and sentences."""
        return bool(self._pool.detectors)

    @property
    def detectors(self) -> Sequence[Detector]:
        """What finds a picture's regions, one for each worker of the plan's "detect".

        Those whose devices are lost are among them.

        Raises:
            DetectorError: The model has none: it was made for features from files.
        """
        if not self._pool.detectors:
            k, c = self.config.image.regions, self.config.image.features
            raise DetectorError(
                f"this model has no detector, so it cannot embed a picture: it expects the "
                f"features of {k} regions x {c} from files (Model.embed_regions, or "
                f"refine-itr eval --data X_ims.npy)"
            )
        return self._pool.detectors

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""
        return self.config.dim

    def stages(self) -> list[Stage]:
        """Returns the stages from a picture to its embedding: decode, detect, encode."""
        from refine_itr.assembly import picture_work, stages_of
        from refine_itr.decoding import decode

        to_pixels = partial(decode, size=self.detectors[0].picture_size)
        work = picture_work(self.plan, to_pixels, self._pool.working(), self.image_encoder)
        return stages_of(self.plan, work)

    def pipeline(
        self, *, overflow: Overflow = "block", deadline_s: float | None = None
    ) -> Pipeline:
        """Starts a pipeline from pictures to embeddings, float32 (D,); close it, or use ``with``.

        Args:
            overflow: What becomes of a submitted picture when the entry is full: it waits, the
                oldest one there is dropped, or it is refused.
            deadline_s: Seconds after which a result is of no more use; None: no such time.
        """
        from refine_itr.assembly import start

        return start(self.plan, self.stages(), overflow=overflow, deadline_s=deadline_s)

    def embed_images(self, pictures: Iterable[PictureSource]) -> FloatArray:
        """Embeds pictures.

        Args:
            pictures: n pictures: paths, encoded bytes, PIL images or uint8 arrays.

        Returns:
            float32 (n, D), unit norm, in the order of the pictures.

        Raises:
            PictureError: One of them cannot be read; the message says which.
            InvalidInputError: One of them is no picture at all, e.g. a ``str``.
            DetectorError: The device failed.
        """
        if isinstance(pictures, str | bytes | Path) or not isinstance(pictures, Iterable):
            raise InvalidInputError(
                f"pictures: expected several pictures, e.g. a list; got {type(pictures).__name__}"
            )
        embeddings = []
        for outcome in self.embed_image_stream(pictures):
            if outcome.error is not None:
                raise PictureError(f"{_name(outcome.item)}: {outcome.error}") from outcome.error
            embeddings.append(outcome.value)
        return np.stack(embeddings) if embeddings else np.empty((0, self.dim), np.float32)

    def embed_image_stream(
        self, pictures: Iterable[Source]
    ) -> Iterator[Outcome[Source, FloatArray]]:
        """Embeds any number of pictures in order and in bounded memory, as the plan says.

        Yields:
            Outcomes: ``item`` and its embedding as ``value``, float32 (D,), or a ``PictureError``
            as ``error``; an unreadable picture stops nothing.

        Raises:
            InvalidInputError: One of them is no picture at all, e.g. a ``str``.
            DetectorError: The devices failed.
        """
        source = iter(pictures)
        first = list(islice(source, 2))
        outcomes = self._embed_one(first) if len(first) < 2 else self._embed_many(first, source)
        for outcome in outcomes:
            if outcome.error is not None and not isinstance(outcome.error, PictureError):
                raise outcome.error
            yield outcome

    def _embed_one(self, pictures: list[Source]) -> Iterator[Outcome[Source, FloatArray]]:
        """A single picture needs no threads: it is quickest on the caller's."""
        from refine_itr.decoding import decode
        from refine_itr.pipeline import Outcome

        size = self.detectors[0].picture_size
        for index, source in enumerate(pictures):
            try:
                picture = decode(source, size=size)
            except PictureError as exc:
                yield Outcome(index, source, None, exc)
            else:
                yield Outcome(index, source, self._embed_decoded(picture), None)

    def _embed_many(
        self, first: list[Source], rest: Iterator[Source]
    ) -> Iterator[Outcome[Source, FloatArray]]:
        with self.pipeline() as pipeline:
            yield from pipeline.run(chain(first, rest))

    def _embed_decoded(self, picture: Picture) -> FloatArray:
        embedding: FloatArray = self.image_encoder.encode(self._pool.detect([picture]).features)[0]
        return embedding

    def embed_regions(self, regions: FloatArray) -> FloatArray:
        """Embeds pictures by the features of their regions, as a detector found them.

        Args:
            regions: float32 (n, K, C).

        Returns:
            float32 (n, D), unit norm.

        Raises:
            InvalidInputError: The array has another shape or dtype, or holds NaN or infinity.
        """
        expected = (self.config.image.regions, self.config.image.features)
        if regions.dtype != np.float32 or regions.shape[1:] != expected:
            raise InvalidInputError(
                f"regions: expected float32 (n, {expected[0]}, {expected[1]}); "
                f"got {regions.dtype} {regions.shape}"
            )
        if not np.isfinite(regions).all():
            raise InvalidInputError("regions: expected finite values; got NaN or infinity")
        return self.image_encoder.encode(np.ascontiguousarray(regions))

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


def load(
    name: str | Path = "default",
    *,
    threads: int = 0,
    device: str = "auto",
    allow_fallback: bool = False,
    plan: Plan | str | Path | None = None,
    precision: Precision = "fp32",
) -> Model:
    """Loads a model.

    Args:
        name: ``"default"`` for the model that comes with the package, or a bundle's folder.
        threads: Threads of each native call and detector run; 0 means all cores.
        device: Where the convolutions run: ``"cpu"``, ``"cuda:0"``, ``"openvino:GPU"``,
            ``"cann:0,1"``, ``"ascend:0-5"``, or ``"auto"`` for the best that is there.
        allow_fallback: Use the CPU, with a warning, where the device cannot be had.
        plan: What ``refine-itr plan`` wrote, or that file; it says the device too. None: all
            cores work on one batch at a time.
        precision: Of the encoders' products with weights. ``"bf16"`` and ``"int8"`` take a half
            and a quarter of the memory and less time, for embeddings that differ a little: those
            of one index may mix.

    Raises:
        BundleError: There is no such bundle, or it is damaged; the message says how.
        DetectorError: ONNX Runtime does not accept its detector.
        DeviceError: The device is not there, or cannot be used.
        InvalidInputError: An argument is none of the above, or REFINE_ITR_ISA names no
            instruction set of this machine.
    """
    from refine_itr.assembly import DETECT, with_sizes
    from refine_itr.bundle import bundle_folder, read_bundle
    from refine_itr.encoding import ImageEncoder, TextEncoder

    if threads < 0:
        raise InvalidInputError(f"threads: expected 0 (all cores) or more, got {threads}")
    if precision not in PRECISIONS:
        raise InvalidInputError(
            f"precision: expected one of {', '.join(PRECISIONS)}; got {precision!r}"
        )
    try:
        _core.isa()  # looks at REFINE_ITR_ISA
    except ValueError as exc:
        raise InvalidInputError(str(exc)) from exc
    threads = threads or _core.max_threads()
    chosen, asked = _chosen_plan(plan, device, threads)
    bundle = read_bundle(bundle_folder(name))
    config = bundle.config
    # Devices come last: what fails before them leaves none of them open.
    image_encoder = ImageEncoder(config, bundle.weights, threads, precision)
    text_encoder = TextEncoder(config, bundle.weights, bundle.tokenizer_json, threads, precision)
    pool = _open_pool(bundle, chosen.stage(DETECT), threads, allow_fallback or not asked)
    return Model(
        config,
        bundle.fingerprint,
        with_sizes(chosen, pool.sizes),
        pool,
        image_encoder,
        text_encoder,
        threads,
        bundle.calibration,
    )


def _chosen_plan(plan: Plan | str | Path | None, device: str, threads: int) -> tuple[Plan, bool]:
    """Returns the plan, and whether somebody asked for its device: if so it must work."""
    from refine_itr.assembly import DETECT, default_plan, read_plan
    from refine_itr.detection import join_devices, parse_devices

    if plan is not None:
        made = read_plan(plan, device)
        return made, made.stage(DETECT).device != "auto"
    devices = parse_devices(device)
    count = 0 if devices[0].kind == "cpu" else len(devices)
    return default_plan(join_devices(devices), count, threads), device != "auto"


def _open_pool(
    bundle: Bundle, detect: PlannedStage, threads: int, allow_fallback: bool
) -> DetectorPool:
    """Without detectors for a bundle whose regions come from files."""
    from refine_itr.detection import DetectorPool, open_detectors, parse_devices

    config = bundle.config
    if config.detector is None or bundle.detector_path is None:
        return DetectorPool([])
    detectors = open_detectors(
        bundle.detector_path,
        config.detector,
        features=config.image.features,
        devices=parse_devices(detect.device),
        count=detect.workers,
        threads=detect.threads or threads,
        allow_fallback=allow_fallback,
    )
    return DetectorPool(detectors)


def _name(picture: object) -> str:
    return str(picture) if isinstance(picture, Path) else f"a picture ({type(picture).__name__})"
