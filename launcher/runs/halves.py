"""Where a verb writes what counts only when it is whole: beside its place, and removed if the process was killed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from launcher.host.vital_signs import state_of

ENDED = ("", "X", "Z")
"""States of a process that is not there, or only for its parent to ask about."""


def half_of(output: Path) -> Path:
    """What this process writes before it is put at `output` in one rename."""
    return output.with_name(f".{output.name}.{os.getpid()}")


def remove_halves(output: Path) -> None:
    """Remove what killed processes left beside `output`; of one that is still at work nothing."""
    ours = re.compile(rf"\.{{1,2}}{re.escape(output.name)}\.(?:unfinished|([0-9]+)(?:\.unfinished)?)")
    for left in output.parent.glob(".*"):
        found = ours.fullmatch(left.name)
        if found is None or (found[1] and state_of(int(found[1])) not in ENDED):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
