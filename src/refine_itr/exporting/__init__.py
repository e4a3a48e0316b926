"""Detectors for the offline compilers of accelerators."""
