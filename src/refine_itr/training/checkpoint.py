"""Checkpoints from which a run goes on as if it had never stopped."""

from __future__ import annotations

import pickle
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from refine_itr.errors import RefineItrError
from refine_itr.writing import put_in_place

_FORMAT = "refine-itr-checkpoint-1"


@dataclass
class Position:
    """Where in a run one is.

    Attributes:
        epoch: Finished epochs.
        step: Finished steps of the epoch after them.
        best_epoch: The epoch (from 1) with the best rsum so far, 0 for none.
        best_rsum: Its rsum.
        loss_sum: Losses of the finished steps of this epoch, added up.
        seconds: What these steps took, whatever stops lay between them.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_rsum: float = -1.0
    loss_sum: float = 0.0
    seconds: float = 0.0


def random_state() -> dict[str, Any]:
    """The state of Python's, NumPy's and PyTorch's global generators, as plain values."""
    python_version, python_words, python_gauss = random.getstate()
    name, words, *rest = np.random.get_state(legacy=True)
    return {
        "python": [python_version, list(python_words), python_gauss],
        "numpy": [name, torch.from_numpy(np.asarray(words).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Puts the generators back to what ``random_state`` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, numpy_words, *rest = state["numpy"]
    np.random.set_state((name, numpy_words.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes plain values and tensors; a crash while saving leaves the old file whole."""
    part = path.with_suffix(".part")
    torch.save({"format": _FORMAT, **state}, part)
    put_in_place(part, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint with the restricted unpickler.

    Raises:
        RefineItrError: There is none, or it is damaged or of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as exc:
        raise RefineItrError(f"{path}: expected a checkpoint to resume; there is none") from exc
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as exc:
        raise RefineItrError(f"{path}: expected a whole checkpoint; it is damaged") from exc
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise RefineItrError(f"{path}: expected a checkpoint of format {_FORMAT}")
    return state
