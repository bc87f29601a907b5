"""Whether a process still lives, judged by more than its number: numbers are reused, and machines restart."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
STILL_SECONDS = 30.0
"""A process that is silent for longer is pointed out; one on another machine is taken for dead."""


def identity() -> dict[str, Any]:
    """What identifies this process to another one, also to one on another machine."""
    pid = os.getpid()
    return {"pid": pid, "started": _start_ticks(pid), "boot": _boot(), "host": socket.gethostname()}


def lives(process: dict[str, Any]) -> bool:
    """Whether the process of that `identity` is alive on this machine."""
    return is_of_this_boot(process) and _start_ticks(int(process["pid"])) == process.get("started")


def is_mine(process: dict[str, Any] | None) -> bool:
    """Whether that `identity` is this process's. The host's name may have changed, and old files lack it."""
    mine = identity()
    return process is not None and all(process.get(key) == mine[key] for key in ("pid", "started", "boot"))


def is_of_this_boot(process: dict[str, Any]) -> bool:
    """Whether a process of that `identity` could be seen from here."""
    return bool(process.get("boot") == _boot())


def is_young(when: float) -> bool:
    """Whether a sign of life of that time (seconds since the epoch) still counts."""
    return time.time() - when < STILL_SECONDS


def _start_ticks(pid: int) -> int | None:
    fields = stat_fields(Path(f"/proc/{pid}"))
    return None if not fields or fields[0] == "Z" else int(fields[19])


def stat_fields(process: Path) -> list[str]:
    """The fields of a process's or a thread's `stat` below /proc, from the state on; none where it is gone."""
    try:
        return (process / "stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, and leave at once if that has happened."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
