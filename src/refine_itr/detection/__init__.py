"""Detectors: a batch of pictures in, regions out. The convolutions, and nothing else."""

from refine_itr.detection.grid import OnnxGridDetector

__all__ = ["OnnxGridDetector"]
