"""Training, with PyTorch; used by ``reproduction`` and two commands alone.

Data flows as the files read: ``data`` (captions, photographs, features) -> ``features`` (cache of
the frozen part of the backbone) -> ``loop`` (batches, ``augment``, ``modules``, ``losses``) ->
``checkpoint`` -> ``export`` (the best epoch as a bundle).
"""
