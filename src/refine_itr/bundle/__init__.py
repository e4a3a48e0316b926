"""Models as files: a folder of configuration, weights, tokenizer, detector and card."""

from refine_itr.bundle.calibration import read_calibration, write_calibration
from refine_itr.bundle.config import BundleConfig, DetectorConfig, ImageConfig, TextConfig
from refine_itr.bundle.files import Bundle, bundle_folder, read_bundle, write_bundle

__all__ = [
    "Bundle",
    "BundleConfig",
    "DetectorConfig",
    "ImageConfig",
    "TextConfig",
    "bundle_folder",
    "read_bundle",
    "read_calibration",
    "write_bundle",
    "write_calibration",
]
