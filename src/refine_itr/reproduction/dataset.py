"""A folder of captioned photographs: ``train.jsonl``, ``val.jsonl`` and ``images/``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from refine_itr.bundle import Bundle, read_bundle
from refine_itr.bundle.files import bundle_folder
from refine_itr.evaluation import CaptionSet, read_captions
from refine_itr.reproduction.regions import cached_regions
from refine_itr.training.data import Split
from refine_itr.training.features import Progress


@dataclass(frozen=True)
class DataSet:
    """What all runs train on and are measured on.

    Attributes:
        detector: The bundle whose detector finds the regions.
        train: Regions and sentences to train on.
        val: Those that recall is measured on; nothing is chosen by them.
        val_captions: The same as photographs, for the shipped path.
        fingerprint: Changes with the captions and with the detector, in hexadecimal.
    """

    detector: Bundle
    train: Split
    val: Split
    val_captions: CaptionSet
    fingerprint: str


def read_dataset(folder: Path, cache: Path, report: Progress) -> DataSet:
    """Reads the captions, and computes the regions where ``cache`` does not have them.

    Raises:
        DatasetError: A file is missing or malformed, or a photograph cannot be read.
    """
    files = [folder / f"{split}.jsonl" for split in ("train", "val")]
    train, val = (read_captions(file, folder / "images") for file in files)
    bundle = read_bundle(bundle_folder())
    assert bundle.detector_path is not None  # the default bundle has one
    regions = partial(cached_regions, bundle.detector_path, bundle.config)
    digest = hashlib.sha256(bundle.detector_path.read_bytes())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    with_regions = [
        Split(part.sentences, part.owner, features=regions(part.images, cache, report))
        for part in (train, val)
    ]
    return DataSet(
        detector=bundle,
        train=with_regions[0],
        val=with_regions[1],
        val_captions=val,
        fingerprint=digest.hexdigest(),
    )
