"""Models as files: a folder of configuration, weights, tokenizer, detector and card."""

from refine_itr.bundle.bottom_up import bottom_up_config
from refine_itr.bundle.calibration import read_calibration, write_calibration
from refine_itr.bundle.config import BundleConfig, ImageConfig, TextConfig
from refine_itr.bundle.detector import (
    HEAD,
    AnyDetectorConfig,
    DetectorConfig,
    GraphDetectorConfig,
    ObjectDetectorConfig,
    OutputsConfig,
    PixelsConfig,
    ProposalsConfig,
    SelectionConfig,
    TwoStageConfig,
)
from refine_itr.bundle.files import (
    DETECTOR,
    DETECTOR_CONFIG,
    OM,
    Bundle,
    bundle_folder,
    read_bundle,
    read_detector,
    write_bundle,
)

__all__ = [
    "DETECTOR",
    "DETECTOR_CONFIG",
    "HEAD",
    "OM",
    "AnyDetectorConfig",
    "Bundle",
    "BundleConfig",
    "DetectorConfig",
    "GraphDetectorConfig",
    "ImageConfig",
    "ObjectDetectorConfig",
    "OutputsConfig",
    "PixelsConfig",
    "ProposalsConfig",
    "SelectionConfig",
    "TextConfig",
    "TwoStageConfig",
    "bottom_up_config",
    "bundle_folder",
    "read_bundle",
    "read_calibration",
    "read_detector",
    "write_bundle",
    "write_calibration",
]
