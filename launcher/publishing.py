"""What an attempt has to show is put where everybody looks: only by the newest attempt, and never half.

An attempt's own files are the truth (`RunFolder.ended` reads those of the newest one); `outcome.json` and `model/` at
the top of the run's folder keep their names for scripts.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from pathlib import Path
from typing import Any

from launcher.errors import Problem, WorkerError
from launcher.rundir import AttemptFolder, RunFolder, write_json


def publish(folder: RunFolder, attempt: AttemptFolder, outcome: dict[str, Any]) -> None:
    """Make this outcome the run's, and the attempt's model with it.

    Raises WorkerError when a newer attempt has taken over: then nobody sees this one.
    """
    if attempt.model.is_dir():
        _publish_model(folder, attempt)
    whole = {**outcome, "attempt": attempt.number}
    write_json(attempt.outcome, whole)
    refuse_taken_over(folder, attempt.number)
    write_json(folder.outcome, whole)


def _publish_model(folder: RunFolder, attempt: AttemptFolder) -> None:
    """Move the model up. A folder takes no other's place by itself: one that came in between is seen, and judged."""
    while True:
        refuse_taken_over(folder, attempt.number)
        try:
            attempt.model.rename(folder.model)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        refuse_taken_over(folder, attempt.number)
        take_away(folder.model)


def refuse_taken_over(folder: RunFolder, number: int) -> None:
    """Raise WorkerError when a newer attempt than this one has begun."""
    newest = newest_attempt(folder).number
    if newest > number:
        what = f"attempt {newest} has taken over: what attempt {number} does counts no more"
        raise WorkerError(Problem(what, str(folder.path), "follow the run with `launcher status`"))


def newest_attempt(folder: RunFolder) -> AttemptFolder:
    """The attempt that nobody has followed yet. Raises WorkerError where the run's folder was taken away."""
    attempts = folder.attempts()  # listed: a network file system looks that up anew, and a missing file not
    if not attempts:
        what = "the run's folder was removed while the run was at work"
        raise WorkerError(Problem(what, str(folder.path), "start it anew; nothing is left to resume"))
    return attempts[-1]


def take_away(path: Path, why: str = "") -> None:
    """Delete a folder, first in one move out of sight: a killed process leaves it whole or not at all."""
    doomed = path.with_name(f".{path.name.removeprefix('.')}.doomed{why}")
    with contextlib.suppress(OSError):
        path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
