"""The Hugging Face hub: whether it can be reached is checked once, quickly, before its libraries try for a minute.

Where it cannot be, they look into their cache only, and an error for what the cache lacks names the remedies.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from launcher.errors import Problem


@cache
def unreachable() -> str:
    """Why the hub cannot be used, or ''; if so, this process and those that it starts use the cache only."""
    from huggingface_hub import constants, is_offline_mode
    from huggingface_hub.utils import get_session

    if is_offline_mode():
        return "HF_HUB_OFFLINE=1 is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:  # the border: what the library's own HTTP client raises
        _stay_with_the_cache()
        return f"{constants.ENDPOINT} cannot be reached: {str(error) or type(error).__name__}"
    return ""


def not_here(what: str, where: str, instead: str, reason: str) -> Problem:
    """The problem where something of the hub could not be had, for a `reason` that a library gave.

    `instead` is what takes a local one: `--set data.train=FILE`.
    """
    why, message = unreachable(), f"{what}: {reason.rstrip('.')}"
    if not why:
        return Problem(message, where, f"check its name, or take a local one: {instead}")
    do = f"take a local one: {instead}; or let HF_HOME name a cache that holds it, filled where there is a network"
    if "HF_HUB_OFFLINE" in why:
        return Problem(f"{message}; {why}", where, f"unset it; or {do}")
    mirror = "; or let HF_ENDPOINT name a mirror of the hub that can be reached, as https://hf-mirror.com"
    return Problem(f"{message}; {why}", where, do + mirror)


def _stay_with_the_cache() -> None:
    """The libraries read the variable when they are imported, so those already imported must be set as well."""
    from huggingface_hub import constants

    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True
    if "datasets" in sys.modules:
        sys.modules["datasets"].config.HF_HUB_OFFLINE = True
