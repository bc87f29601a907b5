"""The user of this process: name, home and cache folder; in a container there may be neither a name nor a home."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from launcher.errors import BackendError, Problem


def home() -> Path | None:
    """The user's home directory; None where neither HOME nor the system names one."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def user_name() -> str:
    """The user's name, or the number where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


def expanded(path: str) -> Path:
    """With `~` as the home directory, where there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_folder() -> Path:
    """Where prepared data and trained vectors are kept: `$RECIPE_LAUNCHER_CACHE` or `~/.cache/recipe-launcher`.

    Raises BackendError where there is neither.
    """
    given, here = os.environ.get("RECIPE_LAUNCHER_CACHE"), home()
    if given:
        return Path(given)
    if here is None:
        do = "set RECIPE_LAUNCHER_CACHE to a folder that can be written"
        raise BackendError(Problem("this user has no home directory, so there is no folder for prepared data", do=do))
    return here / ".cache" / "recipe-launcher"
