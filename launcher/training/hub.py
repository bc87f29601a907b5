"""The Hugging Face hub: whether it can be reached is asked once, quickly, before its libraries try for a minute.

Where it cannot be, they look into their cache only, and what the cache lacks is told with what can be done about it.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from launcher.errors import Problem


@cache
def unreachable() -> str:
    """Why the hub cannot be asked, or ''; if so, this process and those that it starts stay with the cache."""
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


def not_here(what: str, place: str, instead: str, reason: str) -> Problem:
    """What to tell of something of the hub that was not to be had, for a `reason` that a library gave.

    `instead` is what takes a local one: `--set data.train=FILE`.
    """
    why, told = unreachable(), f"{what}: {reason.rstrip('.')}"
    if not why:
        return Problem(told, place, f"check its name, or take a local one: {instead}")
    do = f"take a local one: {instead}; or let HF_HOME name a cache that holds it, filled where there is a network"
    if "HF_HUB_OFFLINE" in why:
        return Problem(f"{told}; {why}", place, f"unset it; or {do}")
    mirror = "; or let HF_ENDPOINT name a mirror of the hub that can be reached, as https://hf-mirror.com"
    return Problem(f"{told}; {why}", place, do + mirror)


def _stay_with_the_cache() -> None:
    """The libraries read the variable when they are imported, so those that are must be told besides."""
    from huggingface_hub import constants

    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True
    if "datasets" in sys.modules:
        sys.modules["datasets"].config.HF_HUB_OFFLINE = True
