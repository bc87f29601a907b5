"""A torchvision that does not match torch breaks transformers, which asks only whether one is installed and imports it.

Nothing here needs torchvision. So one that cannot be imported is hidden before transformers is imported.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache

NAME = "torchvision"


@cache
def fault() -> str:
    """Why the installed torchvision cannot be imported; '' where it can, or there is none. Known once it is hidden."""
    if importlib.util.find_spec(NAME) is None:
        return ""
    try:
        importlib.import_module(NAME)
    except Exception as error:  # an extension that was built for another torch breaks in any way
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return ""


def hide_broken() -> None:
    """Make this process see no torchvision where it cannot be imported. Call it before transformers is imported."""
    if fault():
        for name in [name for name in sys.modules if name == NAME or name.startswith(f"{NAME}.")]:
            del sys.modules[name]
        sys.modules[NAME] = None  # type: ignore[assignment]  # Python's own way to say: there is no such module
