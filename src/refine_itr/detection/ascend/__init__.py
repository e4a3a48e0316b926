"""Ascend chips through pyACL, the Python interface of Ascend's CANN."""

from refine_itr.detection.ascend.backend import AscendBackend

__all__ = ["AscendBackend"]
