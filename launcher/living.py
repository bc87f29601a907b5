"""Whether a process still lives, told by more than its number: numbers are used again, and machines start again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """This process, as another one can recognise it."""
    return {"pid": os.getpid(), "started": _start_ticks(os.getpid()), "boot": _boot()}


def lives(told: dict[str, Any]) -> bool:
    """Whether the process of that `identity` is alive on this machine."""
    return told.get("boot") == _boot() and _start_ticks(int(told["pid"])) == told.get("started")


def stands_still(pid: int) -> bool:
    """Whether somebody has stopped the process (SIGSTOP, a debugger)."""
    return _stat(pid)[:1] in (["T"], ["t"])


def _start_ticks(pid: int) -> int | None:
    fields = _stat(pid)
    return None if not fields or fields[0] == "Z" else int(fields[19])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
