"""Other programs' checkpoints as bundles. PyTorch reads them; nothing in them is run."""

from refine_itr.converting.convert import convert

__all__ = ["convert"]
