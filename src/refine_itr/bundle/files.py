"""A bundle's folder, read with every check and written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_itr.bundle.calibration import read_calibration
from refine_itr.bundle.config import BundleConfig
from refine_itr.bundle.detector import HEAD, AnyDetectorConfig, TwoStageConfig
from refine_itr.bundle.reading import read_config
from refine_itr.bundle.schema import expected_weights, tolerated_weights
from refine_itr.errors import BundleError
from refine_itr.scoring import Calibration
from refine_itr.types import FloatArray

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
TOKENIZER = "tokenizer.json"
DETECTOR = "detector.onnx"
OM = "detector.om"  # the same, compiled for an Ascend chip
DETECTOR_CONFIG = "detector.json"  # of a detector without a bundle
CARD = "card.md"

# Far above any real file, far below what would fill an edge server's memory.
_MAX_BYTES = {
    CONFIG: 1 << 20,
    DETECTOR_CONFIG: 1 << 20,
    TOKENIZER: 64 << 20,
    WEIGHTS: 4 << 30,
    DETECTOR: 2 << 30,
    HEAD: 2 << 30,
}


@dataclass(frozen=True)
class Bundle:
    """A model as read from its folder, checked, not yet folded or packed.

    Attributes:
        folder: Where it lies.
        config: The architecture.
        weights: float32 arrays by name, see ``refine_itr.bundle.schema``.
        tokenizer_json: The content of ``tokenizer.json``.
        fingerprint: SHA-256 over all that decides an embedding, in hexadecimal.
        detector_path: The detector's ONNX file; None if the regions come from files.
        calibration: What it knows of its scores, or None.
    """

    folder: Path
    config: BundleConfig
    weights: Mapping[str, FloatArray]
    tokenizer_json: str
    fingerprint: str
    detector_path: Path | None
    calibration: Calibration | None


def bundle_folder(name: str | Path = "default") -> Path:
    """Returns the folder of a bundle; "default" is the model that comes with the package.

    Raises:
        BundleError: There is no such folder.
    """
    folder = Path(__file__).parent / "default" if name == "default" else Path(name)
    if not str(name) or not folder.is_dir():
        raise BundleError(f"expected 'default' or a bundle's folder; got '{name}'")
    return folder


def read_bundle(folder: Path) -> Bundle:
    """Reads and checks a bundle. Nothing in it is ever unpickled or run.

    Raises:
        BundleError: A file is missing or damaged, or does not fit the configuration.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder}: expected a bundle's folder; there is none")
    _check_file(folder / CONFIG)
    config = BundleConfig.from_json(_parse_json(folder / CONFIG))
    parts = [WEIGHTS, TOKENIZER, *_graphs(config)]
    for name in parts:
        _check_file(folder / name)
    fingerprint = _fingerprint([folder / name for name in (CONFIG, *parts)])
    return Bundle(
        folder=folder,
        config=config,
        weights=_read_weights(folder / WEIGHTS, config),
        tokenizer_json=_read_text(folder / TOKENIZER),
        fingerprint=fingerprint,
        detector_path=folder / DETECTOR if config.detector else None,
        calibration=read_calibration(folder, fingerprint, config.dim),
    )


def read_detector(folder: Path) -> AnyDetectorConfig:
    """Reads ``detector.json``, which says how to feed and read the graphs beside it.

    Raises:
        BundleError: There is none, or it is damaged.
    """
    path = folder / DETECTOR_CONFIG
    _check_file(path)
    config: AnyDetectorConfig = read_config(AnyDetectorConfig, _parse_json(path), str(path))
    return config


def write_bundle(
    folder: Path,
    config: BundleConfig,
    weights: Mapping[str, npt.NDArray[Any]],
    tokenizer_json: str,
    detector_onnx: bytes | None,
    card: str,
    head_onnx: bytes | None = None,
) -> None:
    """Writes a bundle's folder, replacing one that is there only when all is written.

    Args:
        folder: Where to; an existing bundle there is replaced, any other folder is refused.
        config: The architecture.
        weights: float16 or float32 arrays by name, see ``refine_itr.bundle.schema``.
        tokenizer_json: The tokenizer in the `tokenizers` library's own format.
        detector_onnx: The serialised ONNX graph; None if the configuration has no detector.
        card: Markdown: training data, measured recall, licences.
        head_onnx: The second graph of a two-stage detector; None for another one.

    Raises:
        BundleError: Weights or graphs do not fit the configuration, or the folder is something
            else.
    """
    from safetensors.numpy import save_file

    graphs = {DETECTOR: detector_onnx, HEAD: head_onnx}
    _check_graphs([name for name, graph in graphs.items() if graph is not None], config)
    _check_weights({name: (w.shape, str(w.dtype)) for name, w in weights.items()}, config)
    if folder.exists() and not (folder / CONFIG).is_file():
        raise BundleError(f"{folder}: expected a bundle's folder or a new name; got something else")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (staging / CONFIG).write_text(json.dumps(config.to_json(), indent=2) + "\n", "utf-8")
        save_file({n: np.ascontiguousarray(w) for n, w in weights.items()}, staging / WEIGHTS)
        (staging / TOKENIZER).write_text(tokenizer_json, "utf-8")
        for name, graph in graphs.items():
            if graph is not None:
                (staging / name).write_bytes(graph)
        (staging / CARD).write_text(card, "utf-8")
        _make_readable(staging)
        _swap(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    """For all users: mkdtemp and safetensors make private ones."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


def _swap(staging: Path, folder: Path) -> None:
    """Puts ``staging`` in the place of ``folder``; the old one goes last."""
    old = staging.with_name(f"{staging.name}.old")
    if folder.exists():
        folder.replace(old)
    staging.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise BundleError(f"{path}: expected a file of the bundle; there is none")
    if (size := path.stat().st_size) > (limit := _MAX_BYTES[path.name]):
        raise BundleError(f"{path}: expected at most {limit} bytes, got {size}")


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as exc:
        raise BundleError(f"{path}: expected UTF-8 text; {exc.reason} at byte {exc.start}") from exc


def _parse_json(path: Path) -> object:
    try:
        return json.loads(_read_text(path))
    except (ValueError, RecursionError) as exc:  # a number of thousands of digits is a ValueError
        raise BundleError(f"{path}: expected JSON; {exc}") from exc


def _read_weights(path: Path, config: BundleConfig) -> dict[str, FloatArray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {n: (tuple(s.get_shape()), s.get_dtype()) for n, s in slices.items()}
            _check_weights(found, config, str(path))
            names = expected_weights(config)
            weights = {n: file.get_tensor(n).astype(np.float32) for n in names}
    except SafetensorError as exc:
        raise BundleError(f"{path}: expected a safetensors file; {exc}") from exc
    for name, weight in weights.items():
        if not np.isfinite(weight).all():
            raise BundleError(f"{path}: {name}: expected finite values; got NaN or infinity")
    return weights


def _check_weights(
    found: Mapping[str, tuple[tuple[int, ...], str]], config: BundleConfig, where: str = WEIGHTS
) -> None:
    expected = expected_weights(config)
    if missing := sorted(expected.keys() - found.keys()):
        raise BundleError(f"{where}: missing {_listed(missing)}")
    if unknown := sorted(found.keys() - expected.keys() - tolerated_weights(config)):
        raise BundleError(f"{where}: not in this architecture: {_listed(unknown)}")
    for name, shape in expected.items():
        got_shape, got_dtype = found[name]
        if got_shape != shape or got_dtype not in ("F16", "F32", "float16", "float32"):
            raise BundleError(
                f"{where}: {name}: expected float16 or float32 {shape}; got {got_dtype} {got_shape}"
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _graphs(config: BundleConfig) -> list[str]:
    """The detector's files: none, one, or two."""
    if config.detector is None:
        return []
    return [DETECTOR, HEAD] if isinstance(config.detector, TwoStageConfig) else [DETECTOR]


def _check_graphs(found: list[str], config: BundleConfig) -> None:
    if found != (expected := _graphs(config)):
        kind = f"a {config.detector.kind}" if config.detector else "no"
        raise BundleError(
            f"a configuration with {kind} detector: "
            f"expected {' and '.join(expected) or 'no graph'}; got {' and '.join(found) or 'none'}"
        )


def _fingerprint(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        part = hashlib.sha256()  # hashed apart, so that bytes cannot move between files
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                part.update(chunk)
        digest.update(part.digest())
    return digest.hexdigest()
