"""Locks, for what several processes may begin at the same instant: each finishes before the next begins.

The lock is a file beside what is changed, which the kernel releases when its holder ends. Where a file system has no
locks, or no file may be written there, nobody waits; then the process that makes an attempt's folder first has it
(`RunFolder.attempt_after`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from launcher.errors import BackendError, Problem

PATIENCE = 300.0
"""Seconds to wait for another process; a large folder on a slow disk takes a while to be deleted."""
PAUSE = 0.02


@contextlib.contextmanager
def taken(path: Path) -> Iterator[None]:
    """Hold the path's lock. Raises BackendError if another process does not release it."""
    lock = path.with_name(f".{path.name}.lock")
    descriptor = _locked(lock)
    try:
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                lock.unlink()  # while held: a waiting process then sees that the path no longer names this file
            os.close(descriptor)


@contextlib.contextmanager
def alone(lock: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock file that stays there. OSError for a link; BlockingIOError if it is held and `wait` is False."""
    # it follows no link and cuts nothing: others may write where a cache is shared
    descriptor = os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(OSError):
            os.utime(descriptor)  # the time of the last use
        yield
    finally:
        os.close(descriptor)


def _locked(lock: Path) -> int | None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            # it follows no link and cuts nothing: others may write where runs are shared
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), lock.stat(follow_symlinks=False)):
                return descriptor
        except BlockingIOError:
            time.sleep(PAUSE)  # flock has no timeout
        except FileNotFoundError:
            pass  # the process that held it has deleted it
        except OSError:
            os.close(descriptor)
            return None
        os.close(descriptor)
    what = f"another process has been at work on {lock.parent / lock.name[1:-5]} for {PATIENCE:.0f} s"
    raise BackendError(Problem(what, str(lock), "look for it with `fuser` on this file, or try again"))
