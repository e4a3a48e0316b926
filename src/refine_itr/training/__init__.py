"""Training: the only place that imports PyTorch, and that only commands and ``reproduction`` import.

Data flows as the files read: ``data`` (captions, photographs, features) -> ``features`` (cache of
the frozen part of the backbone) -> ``loop`` (batches, ``augment``, ``modules``, ``losses``) ->
``checkpoint`` -> ``export`` (the best epoch as a bundle).
"""
