"""The run folder: every file name in it, atomic writes, and finding runs again. It knows names and bytes.

runs/<name>/
  plan.json recipe.json recipe.py      what was promised, and the source that made it
  lease.json launcher.log              the process that drives the run now; what it prints in the background
  events.jsonl evaluations.jsonl       one line a logged step; one line an evaluation; each with its attempt
  outcome.json model/                  how it ended; the proven result: as the newest attempt published them
  tensorboard/ figures/                what TensorBoard reads; the same figures as PNG
  attempts/N/                          rank-K.log, rank-K.failure.json, rank-K.pulse.json, notes.jsonl, ending.json, …
    origin.json                        which checkpoint, of which attempt, this one goes on from
    checkpoints/step-00000120/         resumable states (training/checkpoint.py)
    outcome.json                       how it ended, as it says itself

What counts of several attempts, `launcher.lineage` knows.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from launcher import living
from launcher.attempt_folder import AttemptFolder as AttemptFolder
from launcher.errors import BackendError, Problem, did_you_mean, whose
from launcher.json_files import write_json as write_json
from launcher.json_lines import NewLines as NewLines
from launcher.json_lines import append_line as append_line
from launcher.json_lines import read_lines as read_lines
from launcher.run_files import read_json as read_json
from launcher.run_folder import RunFolder as RunFolder

MARKS = ("plan.json", "recipe.json")
"""Files by which a run's folder is known."""
NAME = re.compile(r"[^\W_][\w.-]*")
SECONDS_BETWEEN_SIGNS = 5.0
"""So often a driver makes its lease young again."""


def find(run: str | Path, runs: str | Path = "runs") -> RunFolder:
    """The run of that name under `runs`, or at that path. Raises BackendError where there is none."""
    for path in (Path(runs) / run, Path(run)):
        try:
            if _holds_a_run(path):
                return RunFolder(path.resolve())
        except PermissionError as error:
            what = f"run {path.name} cannot be looked at: {error.strerror}{whose(path)}"
            raise BackendError(Problem(what, str(path.absolute()), "ask its owner for read access")) from None
        except OSError:  # too long for a name: a text where the run was forgotten
            continue
    near = did_you_mean(str(run), [folder.name for folder in all_runs(runs)])
    shown = str(run) if len(str(run)) <= 80 else f"{str(run)[:80]}…"
    raise BackendError(Problem(f"there is no run {shown!r}", str(Path(runs).resolve()), near))


def all_runs(runs: str | Path = "runs") -> list[RunFolder]:
    """Every run under that folder, oldest first."""
    root = Path(runs)
    found = {path.parent for name in MARKS for path in root.glob(f"*/{name}")} if root.is_dir() else set()
    return sorted((RunFolder(path.resolve()) for path in found if _holds_a_run(path)), key=_made)


def _holds_a_run(path: Path) -> bool:
    """Whether a run was written there, even if one of the two files has been lost since."""
    found = [(path / name).is_file() for name in MARKS]
    return found[0] or (any(found) and (path / "attempts").is_dir())


def _made(folder: RunFolder) -> float:
    times = []
    for path in (folder.plan, folder.recipe):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return times[0] if times else 0.0


def check_name(name: str) -> None:
    """Raise BackendError unless `name` is a plain folder name."""
    if not NAME.fullmatch(name) or len(name.encode()) > 100:
        do = "use letters, digits, '.', '_' and '-', at most 100 (a Chinese character counts three)"
        raise BackendError(Problem(f"{name!r} cannot name a run", do=do))


def take_lease(folder: RunFolder, scheduled: bool = False) -> None:
    """Make this process the run's driver. Raises BackendError while another one lives.

    A job that was put back is `scheduled`: whatever its earlier turn still does on a machine that was cut off, it is
    this turn that counts (docs/decisions/010-fencing.md), so only this machine is looked at.
    """
    refuse = _refuse_holder if scheduled else refuse_driven
    refuse(folder)
    write_json(folder.lease, living.identity())


def refuse_driven(folder: RunFolder) -> None:
    """Raise BackendError while another process drives the run, on this machine or on another."""
    _refuse_holder(folder)
    host = driven_elsewhere(folder)
    if host is not None:
        do = f"wait for it, or stop it there with `launcher cancel {folder.name}`"
        do += f"; if {host} is gone, try again in {living.STILL_SECONDS:.0f} s"
        raise BackendError(Problem(told_elsewhere(folder, host), str(folder.path), do))


def _refuse_holder(folder: RunFolder) -> None:
    holder = lease_holder(folder)
    if holder is not None and holder != os.getpid():
        what = f"run {folder.name} is being driven by process {holder}"
        do = f"wait for it, or stop it with `kill {holder}`"
        raise BackendError(Problem(what, str(folder.path), do))


def lease_holder(folder: RunFolder) -> int | None:
    """The process that drives the run, if it is alive on this machine (a reused number does not count)."""
    lease = read_json(folder.lease)
    return int(lease["pid"]) if lease and living.lives(lease) else None


def driven_elsewhere(folder: RunFolder) -> str | None:
    """The other machine that drives the run; None once nothing was heard from there for `STILL_SECONDS`.

    Its processes cannot be seen from here. The driver keeps its lease young, and ranks in training have a pulse; ranks
    that were started by hand have the pulse alone.
    """
    lease, attempts = read_json(folder.lease), folder.attempts()
    if not lease or living.is_of_this_boot(lease):
        return None
    heard = [attempt.heard() for attempt in attempts[-1:]]
    with contextlib.suppress(OSError):  # dropped between the look and now
        heard.append(folder.lease.stat().st_mtime)
    return str(lease.get("host", "another machine")) if living.is_young(max(heard, default=0.0)) else None


def told_elsewhere(folder: RunFolder, host: str) -> str:
    """That the run is driven on that host, in words."""
    return f"run {folder.name} is being driven on {host}, by process {(read_json(folder.lease) or {}).get('pid')}"


def keep_lease(folder: RunFolder) -> None:
    """Make this process's lease young again; whoever has taken over speaks for itself."""
    # a disk that cannot be reached now is told by whoever has something to write
    with contextlib.suppress(OSError, BackendError):
        if living.is_mine(read_json(folder.lease)):
            os.utime(folder.lease)


def drop_lease(folder: RunFolder) -> None:
    """Say that nobody drives the run any more; whoever has taken over keeps its own."""
    if living.is_mine(read_json(folder.lease)):
        folder.lease.unlink(missing_ok=True)


def is_run(folder: RunFolder) -> bool:
    """Whether that folder was made by a run (it may have died before its plan was written), or is empty."""
    known = folder.plan.is_file() or folder.lease.is_file()
    return known or (folder.path.is_dir() and not any(folder.path.iterdir()))


def remove(folder: RunFolder) -> None:
    """Delete a whole run (for `--overwrite`)."""
    shutil.rmtree(folder.path)


def status_of(folder: RunFolder) -> str:
    """`finished`, `failed` or `stopped` as the outcome says; `running`; or `died` (killed without a word)."""
    if lease_holder(folder) is not None or driven_elsewhere(folder) is not None:
        return "running"
    outcome = folder.ended()
    return str(outcome["status"]) if outcome else "died"
