"""``calibration.safetensors``: what a bundle knows of its scores. A bundle may go without.

Tensors ``bank.texts`` (m, D) and ``bank.images`` (p, D), float16. Metadata: format, version, the
model's fingerprint, the bank's ``temperature``, and ``relevance``: JSON, for "images" and "texts"
the weights of ``refine_itr.scoring.Relevance``. It does not enter the fingerprint: it
decides no embedding.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import cast

from refine_itr.errors import BundleError
from refine_itr.scoring import Calibration, QueryBank, Relevance
from refine_itr.types import Kind
from refine_itr.writing import write_safetensors

CALIBRATION = "calibration.safetensors"
FORMAT = "refine-itr-calibration"
VERSION = "1"

_MAX_BYTES = 256 << 20
_WRONG = (TypeError, ValueError)  # an InvalidInputError is a ValueError


def read_calibration(folder: Path, fingerprint: str, dim: int) -> Calibration | None:
    """Reads a bundle's calibration, or returns None if it has none.

    Args:
        folder: The bundle's.
        fingerprint: The bundle's.
        dim: D of the bundle.

    Raises:
        BundleError: The file is damaged, or was made for another model.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CALIBRATION
    if not path.exists():
        return None
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise BundleError(f"{path}: expected at most {_MAX_BYTES} bytes, got {size}")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            _check_metadata(path, metadata, fingerprint)
            bank = QueryBank(
                file.get_tensor("bank.texts"),
                file.get_tensor("bank.images"),
                temperature=float(metadata["temperature"]),
            )
        relevance = _parse_relevance(metadata["relevance"])
    except (SafetensorError, OSError, ArithmeticError, LookupError, RecursionError, *_WRONG) as exc:
        raise BundleError(f"{path}: expected a model's calibration; {exc}") from exc
    if bank.dim != dim:
        raise BundleError(f"{path}: bank: expected embeddings of length {dim}, got {bank.dim}")
    return Calibration(bank, relevance)


def write_calibration(folder: Path, fingerprint: str, calibration: Calibration) -> None:
    """Writes a bundle's calibration; a crash leaves the one that was there.

    Raises:
        BundleError: The file cannot be written.
    """
    bank, path = calibration.bank, folder / CALIBRATION
    weights = {kind: dataclasses.asdict(r) for kind, r in calibration.relevance.items()}
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": fingerprint,
        "temperature": repr(bank.temperature),
        "relevance": json.dumps(weights),
    }
    try:
        write_safetensors(path, {"bank.texts": bank.texts, "bank.images": bank.images}, metadata)
    except OSError as exc:
        raise BundleError(f"{path}: cannot be written; {exc.strerror}") from exc


def _check_metadata(path: Path, metadata: dict[str, str], fingerprint: str) -> None:
    if metadata.get("format") != FORMAT:
        raise BundleError(f'{path}: expected "format": "{FORMAT}", got {metadata.get("format")!r}')
    if metadata.get("version") != VERSION:
        raise BundleError(f"{path}: expected version {VERSION}, got {metadata.get('version')!r}")
    if (model := str(metadata.get("model"))) != fingerprint:
        raise BundleError(
            f"{path}: expected the calibration of this model, {fingerprint[:12]}; got that of "
            f"{model[:12]}: delete it, then make one with refine-itr calibrate"
        )


def _parse_relevance(text: str) -> dict[Kind, Relevance]:
    parsed = json.loads(text)
    if not isinstance(parsed, dict) or not parsed.keys() <= {"images", "texts"}:
        raise ValueError(f"relevance: expected an object of images and texts; got {text[:80]}")
    return {cast(Kind, kind): _weights(weights) for kind, weights in parsed.items()}


def _weights(parsed: object) -> Relevance:
    names = {field.name for field in dataclasses.fields(Relevance)}
    if not isinstance(parsed, dict) or parsed.keys() != names:
        raise ValueError(f"relevance: expected {', '.join(sorted(names))}; got {parsed!r}")
    return Relevance(**{name: float(value) for name, value in parsed.items()})
