"""The best epoch as a bundle: weights, tokenizer, detector and card.

Matrices are stored as float16. Vectors stay float32: they weigh nothing, and the variances of a
graph layer's BatchNorm (its input is cubic in the regions) can pass float16's largest number.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from refine_itr.bundle import HEAD, TwoStageConfig, write_bundle
from refine_itr.errors import RefineItrError
from refine_itr.evaluation import Recalls
from refine_itr.training.card import Provenance, model_card
from refine_itr.training.checkpoint import load_checkpoint
from refine_itr.training.export_detector import detector_onnx
from refine_itr.training.learner import Learner
from refine_itr.training.measure import recalls
from refine_itr.training.modules import bundle_weights
from refine_itr.training.prepare import Prepared


def export_best(
    best: Path, prepared: Prepared, folder: Path, provenance: Provenance, detector: Path | None
) -> Recalls:
    """Writes the bundle of a run's best epoch, and returns its recall on the validation split.

    The recall is measured by PyTorch with the rounded weights, as they are written.

    Args:
        best: The checkpoint that the trainer kept.
        prepared: The run's data and model.
        folder: Where to; an existing bundle there is replaced.
        provenance: What the card says of data and licence.
        detector: The ONNX detector that made ready-made features, of two graphs the first one;
            None if it is not known, and for photographs, whose detector is the backbone.

    Raises:
        RefineItrError: The checkpoint is damaged, or a matrix is too large for float16.
    """
    learner = copy.deepcopy(prepared.learner)
    learner.load_state_dict(load_checkpoint(best)["learner"])
    _round_matrices(learner)
    measured = recalls(learner, prepared.val, prepared.val_views, prepared.val_tokens)
    weights = {
        name: (w.half() if w.ndim > 1 else w).numpy()
        for name, w in bundle_weights(learner.encoders).items()
    }
    write_bundle(
        folder,
        learner.config,
        weights,
        prepared.tokenizer.to_str(),
        _detector(learner, detector),
        model_card(prepared, measured, provenance),
        _head(learner, detector),
    )
    return measured


def _detector(learner: Learner, path: Path | None) -> bytes | None:
    if learner.backbone is not None:
        return detector_onnx(learner.backbone, input_size=learner.recipe.input_size)
    return None if path is None else path.read_bytes()


def _head(learner: Learner, path: Path | None) -> bytes | None:
    if path is None or not isinstance(learner.config.detector, TwoStageConfig):
        return None
    return path.with_name(HEAD).read_bytes()


@torch.no_grad()
def _round_matrices(learner: Learner) -> None:
    for name, tensor in learner.state_dict().items():
        if tensor.ndim > 1:
            tensor.copy_(tensor.half())
            if not np.isfinite(tensor.numpy()).all():
                raise RefineItrError(f"{name}: expected values that float16 can hold")
