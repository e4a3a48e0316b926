"""A detector's folder: its graphs, and how to feed and read them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from refine_itr.bundle import DETECTOR, DETECTOR_CONFIG, HEAD
from refine_itr.errors import InvalidInputError
from refine_itr.exporting.faster_rcnn import NAME, URL, FasterRcnnSettings, faster_rcnn_onnx
from refine_itr.exporting.state import read_state

_PREFIX = "torchvision:"


def export_torchvision(
    detector: str, weights: str, out: Path, settings: FasterRcnnSettings, *, force: bool
) -> None:
    """Writes ``detector.onnx``, ``detector-head.onnx`` and ``detector.json`` into ``out``.

    Args:
        detector: "torchvision:fasterrcnn_resnet50_fpn_v2".
        weights: Its weights, see ``read_state``.
        out: The folder; it is made.
        settings: What the graphs fix.
        force: Write into a folder that is there already.

    Raises:
        InvalidInputError: There is no such detector, the weights are none or those of another
            one, or ``out`` is there already.
        MissingExtraError: A package is missing.
    """
    if detector != _PREFIX + NAME:
        raise InvalidInputError(f"expected the detector {_PREFIX}{NAME}; got {detector!r}")
    if not weights:
        raise InvalidInputError("--weights: expected DEFAULT or a file; got none")
    if out.exists() and not force:
        raise InvalidInputError(f"{out}: expected a new folder (or --force); it is there already")
    graphs = faster_rcnn_onnx(read_state(weights, URL), settings)
    out.mkdir(parents=True, exist_ok=True)
    for name, graph in zip((DETECTOR, HEAD), graphs, strict=True):
        (out / name).write_bytes(graph)
    config = json.dumps(asdict(settings.config()), indent=2) + "\n"
    (out / DETECTOR_CONFIG).write_text(config, "utf-8")
