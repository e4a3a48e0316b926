"""torchvision's own Python, also where its wheel was built for another PyTorch than is here."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

_kept: list[torch.library.Library] = []  # an operator lives as long as its library


def torchvision_detection() -> ModuleType:
    """Returns ``torchvision.models.detection``; skips the test if there is none.

    The wheel on PyPI is built against CUDA: beside PyTorch's CPU build its compiled operators do
    not load, and it cannot be imported. Its detectors need two of them: RoIAlign, which it has in
    Python as well, and the suppression, which is given to it here.
    """
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip("torchvision is not installed: nothing to compare with")
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)
    except OSError:
        _define_nms()
    from torchvision.models import detection  # type: ignore[import-not-found]
    from torchvision.ops import boxes  # type: ignore[import-not-found]

    if _kept:
        pooling = import_module("torchvision.ops.roi_align")
        boxes._assert_has_ops = lambda: None
        # As written, not compiled: that would take a C++ compiler and minutes.
        pooling._roi_align = getattr(pooling._roi_align, "__wrapped__", pooling._roi_align)
    return detection


def _define_nms() -> None:
    if _kept:
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):  # the latter only has to be there
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", _nms, "CPU")
    _kept.append(library)


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    waiting, kept = scores.argsort(descending=True, stable=True), []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[rest, :2])
        high = torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = (high - low).clamp(min=0).prod(dim=1)
        waiting = rest[common / (area[best] + area[rest] - common) <= iou_threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def random_model(detection: Any, *, canvas: int, short_side: int, proposals: int) -> Any:
    """A ``fasterrcnn_resnet50_fpn_v2`` with weights that make every stage differ."""
    torch.manual_seed(0)
    model = detection.fasterrcnn_resnet50_fpn_v2(
        weights=None,
        weights_backbone=None,
        min_size=short_side,
        max_size=canvas,
        rpn_post_nms_top_n_test=proposals,
    ).eval()
    model.transform.size_divisible = canvas
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low, high in (
                (module.weight.data, 0.5, 1.0),
                (module.bias.data, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.8, 1.5),
            ):
                values.uniform_(low, high, generator=generator)
    rpn = model.rpn.head
    rpn.cls_logits.weight.data.mul_(10)
    rpn.bbox_pred.weight.data.mul_(3)
    with torch.no_grad():
        # It learns the scales of its maps from the first picture that it sees, which has to fill
        # the canvas: from a smaller one it would learn wrong ones.
        maps = model.backbone(torch.zeros(1, 3, canvas, canvas))
        model.roi_heads.box_roi_pool(maps, [torch.ones(1, 4)], [(canvas, canvas)])
    assert model.roi_heads.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    return model
