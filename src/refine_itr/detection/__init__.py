"""Detectors: a batch of pictures in, regions out. The convolutions, and nothing else."""

from refine_itr.detection.device import Device, available_devices, join_devices, parse_devices
from refine_itr.detection.grid import GridDetector
from refine_itr.detection.objects import ObjectDetector
from refine_itr.detection.opening import Detector, open_detectors, probe
from refine_itr.detection.pool import DetectorPool

__all__ = [
    "Detector",
    "DetectorPool",
    "Device",
    "GridDetector",
    "ObjectDetector",
    "available_devices",
    "join_devices",
    "open_detectors",
    "parse_devices",
    "probe",
]
