"""An attempt's outcome and model, moved to the top of the run's folder: only by the newest attempt, and never half.

An attempt's own files are authoritative (`RunFolder.ended` reads those of the newest one); `outcome.json` and `model/`
at the top of the run's folder keep their names for scripts.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from launcher.errors import Problem, WorkerError
from launcher.json_files import write_json
from launcher.runs.attempt import AttemptFolder
from launcher.runs.halves import half_of, remove_halves
from launcher.runs.run_folder import RunFolder

TRIES = 10
"""How often a model that another attempt put there meanwhile is moved away before giving up."""


def publish(folder: RunFolder, attempt: AttemptFolder, outcome: dict[str, Any]) -> None:
    """Make this outcome the run's, and the attempt's model with it.

    Raises WorkerError when a newer attempt has taken over: then this outcome is not published.
    """
    if attempt.model.is_dir():
        _publish_model(folder, attempt)
    whole = {**outcome, "attempt": attempt.number}
    write_json(attempt.outcome, whole)
    refuse_taken_over(folder, attempt.number)
    write_json(folder.outcome, whole)


def _publish_model(folder: RunFolder, attempt: AttemptFolder) -> None:
    """Move the model up. A rename does not replace a full folder: one that came in between is noticed, and removed
    unless its attempt is newer."""
    for _ in range(TRIES):
        refuse_taken_over(folder, attempt.number)
        try:
            attempt.model.rename(folder.model)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        refuse_taken_over(folder, attempt.number)
        remove_tree(folder.model)
    what = "the model cannot be published: the one that is there cannot be moved away"
    raise WorkerError(Problem(what, str(folder.model), f"move it away; the new one is {attempt.model}"))


def refuse_taken_over(folder: RunFolder, number: int) -> None:
    """Raise WorkerError when a newer attempt than this one has begun."""
    newest = newest_attempt(folder).number
    if newest > number:
        what = f"attempt {newest} has taken over: what attempt {number} does no longer counts"
        raise WorkerError(Problem(what, str(folder.path), "follow the run with `launcher status`"))


def newest_attempt(folder: RunFolder) -> AttemptFolder:
    """The last attempt so far. Raises WorkerError where the run's folder was removed."""
    attempts = folder.attempts()  # listed: a network file system refreshes a listing, but not a missing file
    if not attempts:
        what = "the run's folder was removed while the run was at work"
        raise WorkerError(Problem(what, str(folder.path), "start the run again; there is nothing left to resume"))
    return attempts[-1]


def remove_tree(path: Path, why: str = "") -> None:
    """Delete a folder, after one rename to a hidden name: a killed process leaves it whole or not at all.

    On a network file system files that are still open remain, so the hidden name may be taken: then another is used.
    """
    doomed = path.with_name(f".{path.name.removeprefix('.')}.doomed{why}")
    try:
        path.rename(doomed)
    except FileNotFoundError:
        pass
    except OSError:
        with contextlib.suppress(OSError):
            path.rename(doomed.with_name(f"{doomed.name}-{uuid4().hex}"))
    for left in path.parent.glob(f"{doomed.name}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """A new folder beside `output`, which becomes it at the end; else it is removed. What a killed process left of
    such a folder is removed by the next one."""
    remove_halves(output)
    staging = half_of(output)
    try:
        staging.mkdir()
        yield staging
        by_umask(staging)
        staging.rename(output)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def by_umask(path: Path) -> None:
    """Give a file, or all of a folder, the modes that the umask leaves: safetensors writes for its user alone."""
    mask = _umask()
    for each in (path, *path.rglob("*")):
        if not each.is_symlink():
            kept = stat.S_IMODE(each.stat().st_mode) & stat.S_ISGID
            each.chmod(kept | (0o777 if each.is_dir() else 0o666) & ~mask)


def _umask() -> int:
    """The umask of this process, read without changing it for a moment: other threads write files."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077
