"""How a module of ours is started in a process of its own."""

from __future__ import annotations

import sys


def words(module: str, *arguments: str) -> list[str]:
    """`python -m MODULE ARGUMENTS`, with this Python; `-P` because it must import nothing from the working folder.

    What lies there is the user's: a `launcher.py`, `torch.py` or `random.py` of their own would be taken for ours.
    """
    return [sys.executable, "-P", "-m", module, *arguments]
