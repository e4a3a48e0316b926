"""Measures this machine: the pipeline as it runs, beside what the paper's server did."""
