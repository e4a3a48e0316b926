"""What docs/detectors.md shows is what is read."""

from __future__ import annotations

import json
import re
from pathlib import Path

from refine_itr.bundle import (
    DETECTOR_CONFIG,
    GraphDetectorConfig,
    bottom_up_config,
    read_detector,
)
from refine_itr.exporting.faster_rcnn import FasterRcnnSettings

PAGE = Path(__file__).parents[2] / "docs" / "detectors.md"


def test_the_configurations_of_the_page(tmp_path: Path) -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    configs = []
    for block in blocks:
        assert json.loads(block)
        (tmp_path / DETECTOR_CONFIG).write_text(block)
        configs.append(read_detector(tmp_path))
    single, bottom_up = configs
    assert isinstance(single, GraphDetectorConfig)
    assert bottom_up == bottom_up_config()


def test_the_shapes_for_atc() -> None:
    settings = FasterRcnnSettings()
    shapes = {"proposals": (1, settings.proposals, 4)} | settings.maps
    wanted = ";".join(f"{name}:{','.join(map(str, s))}" for name, s in shapes.items())
    assert wanted in PAGE.read_text("utf-8")
    assert f"images:1,3,{settings.canvas},{settings.canvas}" in PAGE.read_text("utf-8")
