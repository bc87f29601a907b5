"""What can be seen of a rank from outside: its pulse, and what the kernel counts of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.host.processes import stat_fields

STOPPED = ("T", "t")
"""States of a process that is suspended (SIGSTOP), or that a debugger holds."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Signs:
    """One rank at one moment."""

    beat: Mapping[str, Any] = field(default_factory=dict)
    """The last beat it wrote (`launcher.runs.pulse`); empty before the first."""
    state: str = "S"
    """The kernel's letter for its main thread."""
    processor: float = 0.0
    """Seconds that all its threads have computed."""
    moved: int = 0
    """Bytes that it has read and written."""
    runs: bool = False
    """Whether one of its threads computes, or would if it had a core."""
    in_the_kernel: bool = False
    """Whether one of its threads waits for a device, as for a disk."""

    @property
    def stage(self) -> str:
        """What it does; a rank without a beat is only forked."""
        return str(self.beat.get("stage", "forked"))

    @property
    def section(self) -> str:
        """The part of the run's life that this belongs to."""
        return str(self.beat.get("section", "starting"))

    @property
    def step(self) -> int:
        """The last step it has made."""
        return int(self.beat.get("step", 0))

    @property
    def progress(self) -> tuple[Any, ...]:
        """What changes when it makes progress."""
        return (self.section, self.stage, self.step, self.beat.get("count"))


def look_at(pid: int, pulse: Path, closely: bool = False) -> Signs:
    """The signs of the rank with that process and that pulse; `closely` looks at all its threads."""
    state, processor = "?", 0.0
    if fields := stat_fields(Path(f"/proc/{pid}")):
        state, processor = fields[0], (int(fields[11]) + int(fields[12])) / TICKS
    threads = Path(f"/proc/{pid}/task").glob("*") if closely else ()
    states = {state, *(fields[0] for thread in threads if (fields := stat_fields(thread)))}
    return Signs(read_beat(pulse), state, processor, _moved(pid), "R" in states, "D" in states)


def read_beat(pulse: Path) -> dict[str, Any]:
    """The last beat of a rank; empty if it cannot be read, as at the moment when it is being rewritten."""
    try:
        beat = json.loads(pulse.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return beat if isinstance(beat, dict) else {}


def state_of(pid: int) -> str:
    """The kernel's letter for a process; empty where there is none."""
    return (stat_fields(Path(f"/proc/{pid}")) or [""])[0]


def _moved(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    counters = {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}
    return sum(counters.get(name, 0) for name in ("rchar", "wchar", "read_bytes"))
