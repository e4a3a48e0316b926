"""Measures this machine: beside the paper's server, its own limits, and other libraries."""
