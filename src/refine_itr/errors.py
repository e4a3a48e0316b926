"""Every error that Refine-ITR raises on purpose.

RefineItrError
├── InvalidInputError      an argument with the wrong type, shape or value (also a ValueError)
├── PictureError           a picture that cannot be read
├── BundleError            a model folder that is missing, damaged or of another version
├── CheckpointError        another program's checkpoint or vocabulary that cannot be converted
├── DetectorError          the detector's runtime or graph failed
│   └── DeviceError        a device that is missing, unusable, or failed while it worked
│       └── NoDeviceLeftError  all workers of a stage have failed
├── PipelineError          an item that a pipeline did not finish
│   ├── QueueFullError     there was no room for it (overflow "reject")
│   ├── DroppedError       a newer item took its place (overflow "drop-oldest")
│   ├── DeadlineError      its result would have come too late
│   └── PipelineClosedError  the pipeline was closed
├── IndexFileError         an index file that is missing, damaged or of another version
│   └── ModelMismatchError an index made by another model
├── DatasetError           captions, features or photographs that do not fit together
├── WrongAnswerError       a benchmark's answer is not the reference's: nothing is timed
└── MissingExtraError      an optional dependency that is not installed

A message says what was expected and what came. The command line prints it as one line and
exits with status 2.
"""

from __future__ import annotations


class RefineItrError(Exception):
    """The root: catch this one to catch them all."""


class InvalidInputError(RefineItrError, ValueError):
    """An argument has the wrong type, shape or value."""


class PictureError(RefineItrError):
    """A picture cannot be read: not an image, truncated, or too large."""


class BundleError(RefineItrError):
    """A model bundle is missing, damaged or of another version."""


class CheckpointError(RefineItrError):
    """Another program's checkpoint or vocabulary is damaged, unsafe or of an unknown layout."""


class DetectorError(RefineItrError):
    """The detector's runtime or graph failed."""


class DeviceError(DetectorError):
    """A device is missing, cannot be used as asked, or failed while it worked."""


class NoDeviceLeftError(DeviceError):
    """All workers of a pipeline's stage have failed."""


class PipelineError(RefineItrError):
    """A pipeline did not finish an item."""


class QueueFullError(PipelineError):
    """The pipeline has no room for another item now."""


class DroppedError(PipelineError):
    """A newer item took this one's place in a full queue."""


class DeadlineError(PipelineError):
    """The result would have come after the item's deadline."""


class PipelineClosedError(PipelineError):
    """The pipeline was closed before the item was finished, or before it came."""


class IndexFileError(RefineItrError):
    """An index file is missing, damaged or of another version."""


class ModelMismatchError(IndexFileError):
    """An index was made by another model than the one it is opened with."""


class DatasetError(RefineItrError):
    """Captions, features or photographs of a data set do not fit together."""


class WrongAnswerError(RefineItrError):
    """A library's answer differs from the reference, so its time means nothing."""


class MissingExtraError(RefineItrError):
    """An optional dependency is not installed.

    Args:
        feature: What was asked for, e.g. ``"training"``.
        extra: The extra of this package that brings it, e.g. ``"train"``.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'refine-itr[{extra}]'")
