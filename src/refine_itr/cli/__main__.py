"""``python -m refine_itr.cli``, the same as ``refine-itr``."""

from refine_itr.cli.app import main

main()
