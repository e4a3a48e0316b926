"""``refine-itr doctor``: what runs where on this machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from refine_itr import _core
from refine_itr.cli.options import JsonOption, ModelOption, ThreadsOption
from refine_itr.cli.output import print_json, stdout
from refine_itr.model import load

_PACKAGES = ("refine-itr", "numpy", "onnxruntime", "pillow", "safetensors", "tokenizers", "torch")


def doctor(
    model: ModelOption = "default", threads: ThreadsOption = 0, json: JsonOption = False
) -> None:
    """Tell which CPU, instructions, threads, providers, model and versions are in use.

    Loads the model and runs it once on a blank picture and a sentence: what is printed has
    really worked.
    """
    loaded = load(model, threads=threads)
    loaded.embed_images([np.zeros((64, 64, 3), np.uint8)])
    loaded.embed_texts(["a photograph"])
    image = loaded.config.image
    report: dict[str, object] = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "isa": _core.isa(),
        "isas": _core.available_isas(),
        "threads": loaded.threads,
        "providers": getattr(loaded.detector, "providers", []),
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
    if json:
        print_json(report)
        return
    table = Table(show_header=False, box=None)
    for key, value in report.items():
        table.add_row(Text(key, "bold"), Text(_shown(value)))
    stdout.print(table)


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v or '(not installed)'}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
