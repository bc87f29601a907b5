"""A disk that is full for a moment: what must be written waits for room, and a run that failed over it goes on.

Other users write to the same disk, and clean up when they see it full. After a minute it counts as full.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from launcher.runs import pulse

SECONDS = 60.0
PAUSE = 0.25
ENOUGH = 1 << 20
"""Bytes by which the free space must have grown before a failed write is tried again."""
FULL = (errno.ENOSPC, errno.EDQUOT)

Made = TypeVar("Made")
Words = ParamSpec("Words")


def patiently(write: Callable[Words, Made], *words: Words.args, **more: Words.kwargs) -> Made:
    """Call `write`, again and again while the disk is full. Raises OSError when it stays full."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return write(*words, **more)
        except OSError as error:
            if error.errno not in FULL or time.monotonic() > deadline:
                raise
        with pulse.at_the_disk():
            time.sleep(PAUSE)


def broke(error: BaseException) -> bool:
    """Whether it says that the disk is full, in whichever library's words."""
    text = str(error)
    return (isinstance(error, OSError) and error.errno in FULL) or any(os.strerror(number) in text for number in FULL)


def free(path: Path) -> int:
    """Bytes that may still be written there; 0 where that is not known."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0


def comes_back(path: Path, then: int, tick: Callable[[], None], stop_asked: Callable[[], int]) -> bool:
    """Whether there is soon more room than the `then` bytes that were free when a write failed."""
    deadline, wanted = time.monotonic() + SECONDS, min(then, ENOUGH) + ENOUGH
    while time.monotonic() < deadline and not stop_asked():
        if free(path) >= wanted:
            return True
        with contextlib.suppress(OSError):
            tick()
        time.sleep(PAUSE)
    return False
