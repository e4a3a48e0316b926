"""Detectors as ONNX graphs, and for the offline compilers of accelerators."""
