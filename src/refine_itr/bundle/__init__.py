"""Models as files: a folder of configuration, weights, tokenizer, detector and card."""

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
from refine_itr.bundle.files import Bundle, bundle_folder, read_bundle, write_bundle

__all__ = [
    "HEAD",
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
    "bundle_folder",
    "read_bundle",
    "write_bundle",
]
