"""``refine-itr doctor``: what runs where on this machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from rich.table import Table
from rich.text import Text

from refine_itr import _core
from refine_itr.bench.machine import cpu_name
from refine_itr.cli.options import (
    AllowFallbackOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    ThreadsOption,
)
from refine_itr.cli.output import print_json, stdout
from refine_itr.detection import available_devices, probe
from refine_itr.model import Model, load

_PACKAGES = ("refine-itr", "numpy", "onnxruntime", "pillow", "safetensors", "tokenizers", "torch")


def doctor(
    model: ModelOption = "default",
    device: DeviceOption = "auto",
    allow_fallback: AllowFallbackOption = False,
    threads: ThreadsOption = 0,
    json: JsonOption = False,
) -> None:
    """Tell which CPU, instructions, threads, devices, model and versions are in use.

    Loads the model, runs the detector on each device and embeds a sentence: what is printed has
    really worked.
    """
    with load(model, threads=threads, device=device, allow_fallback=allow_fallback) as loaded:
        if loaded.has_detector:
            loaded.embed_images([np.zeros((64, 64, 3), np.uint8)])
        loaded.embed_texts(["a photograph"])
        report = _report(model, loaded)
    if json:
        print_json(report)
        return
    table = Table(show_header=False, box=None)
    for key, value in report.items():
        table.add_row(Text(key, "bold"), Text(_shown(value)))
    stdout.print(table)


def _report(model: str, loaded: Model) -> dict[str, object]:
    image = loaded.config.image
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "isa": _core.isa(),
        "isas": _core.available_isas(),
        "threads": loaded.threads,
        "devices": [
            {
                "device": detector.backend.device,
                "providers": detector.backend.providers,
                "ms_per_picture": round(1e3 * probe(detector), 2),
            }
            for detector in (loaded.detectors if loaded.has_detector else ())
        ],
        "not_available": {kind: why for kind, why in available_devices().items() if why},
        "model": {
            "name": model,
            "fingerprint": loaded.fingerprint[:12],
            "dim": loaded.dim,
            "graph": f"{image.layers} x {image.graph}",
            "pooling": image.pooling,
            "regions": image.regions,
        },
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _shown(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\n".join(map(_shown, value))
    if isinstance(value, dict):
        return ", ".join(f"{k} {v or '(not installed)'}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
