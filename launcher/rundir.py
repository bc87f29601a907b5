"""The run folder: every file name in it, atomic writes, and finding runs again. It knows names and bytes.

runs/<name>/
  plan.json recipe.json recipe.py      what was promised, and the source that made it
  lease.json                           the process that drives the run now
  events.jsonl evaluations.jsonl       one line a logged step; one line an evaluation
  outcome.json                         how it ended: the run is done when this says so
  checkpoints/step-00000120/           resumable states (training/checkpoint.py)
  tensorboard/ model/                  what TensorBoard reads; the proven result
  attempts/N/                          rank-K.log, rank-K.failure.json, rank-K.pulse.json, notes.jsonl, ending.json, …
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem, did_you_mean
from launcher.json_files import append_line as append_line
from launcher.json_files import read_json as read_json
from launcher.json_files import read_lines as read_lines
from launcher.json_files import write_json as write_json

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class AttemptFolder:
    """The files of one attempt at a run."""

    path: Path

    @property
    def number(self) -> int:
        """1 for the first attempt."""
        return int(self.path.name)

    @property
    def store(self) -> Path:
        """The file through which the ranks of one node find each other."""
        return self.path / "store"

    def log(self, rank: int) -> Path:
        """What the rank printed."""
        return self.path / f"rank-{rank}.log"

    def failure(self, rank: int) -> Path:
        """Why the rank broke, written by itself."""
        return self.path / f"rank-{rank}.failure.json"

    @property
    def ending(self) -> Path:
        """How the attempt ended, and with which micro-batch, written by the driver."""
        return self.path / "ending.json"

    @property
    def notes(self) -> Path:
        """What whoever started the run should know: one line each."""
        return self.path / "notes.jsonl"

    def node(self, number: int) -> Path:
        """How the ranks of one machine of several ended, written by it."""
        return self.path / f"node-{number}.json"

    def pulse(self, rank: int) -> Path:
        """What the rank is doing now: `{"section", "step", "steps", "time"}`."""
        return self.path / f"rank-{rank}.pulse.json"


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. Opening it creates nothing."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def plan(self) -> Path:
        """The plan that the newest attempt was started with."""
        return self.path / "plan.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe, each value with its origin."""
        return self.path / "recipe.json"

    @property
    def source(self) -> Path:
        """The recipe module's text."""
        return self.path / "recipe.py"

    @property
    def lease(self) -> Path:
        """Which process drives the run."""
        return self.path / "lease.json"

    @property
    def job(self) -> Path:
        """What was asked of the cluster's scheduler."""
        return self.path / "job.json"

    @property
    def setup(self) -> Path:
        """The site's set-up file, as it was when the run was submitted."""
        return self.path / "setup.sh"

    @property
    def scheduler_log(self) -> Path:
        """What the job's driver printed."""
        return self.path / "slurm.log"

    @property
    def events(self) -> Path:
        """One line for each logged step."""
        return self.path / "events.jsonl"

    @property
    def evaluations(self) -> Path:
        """One line for each evaluation on the validation split."""
        return self.path / "evaluations.jsonl"

    @property
    def outcome(self) -> Path:
        """How the run ended."""
        return self.path / "outcome.json"

    @property
    def checkpoints(self) -> Path:
        """Committed checkpoints, one folder each."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The event files of TensorBoard."""
        return self.path / "tensorboard"

    @property
    def model(self) -> Path:
        """The saved and proven model."""
        return self.path / "model"

    def attempt(self, number: int) -> AttemptFolder:
        """The folder of attempt `number`."""
        return AttemptFolder(self.path / "attempts" / str(number))

    def attempts(self) -> list[AttemptFolder]:
        """All attempts so far, oldest first."""
        folder = self.path / "attempts"
        numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []
        return [self.attempt(number) for number in numbers]

    def new_attempt(self) -> AttemptFolder:
        """Create the next attempt's folder."""
        existing = self.attempts()
        attempt = self.attempt(existing[-1].number + 1 if existing else 1)
        attempt.path.mkdir(parents=True)
        return attempt

    def events_so_far(self) -> list[dict[str, Any]]:
        """Logged steps in order; for a step that was done twice the newer attempt wins."""
        newest: dict[int, dict[str, Any]] = {}
        for event in read_lines(self.events):
            newest[int(event["step"])] = event
        return [newest[step] for step in sorted(newest)]


def find(run: str | Path, runs: str | Path = "runs") -> RunFolder:
    """The run of that name under `runs`, or at that path. Raises BackendError where there is none."""
    for path in (Path(runs) / run, Path(run)):
        if (path / "plan.json").is_file():
            return RunFolder(path.resolve())
    near = did_you_mean(str(run), [folder.name for folder in all_runs(runs)])
    raise BackendError(Problem(f"there is no run {str(run)!r}", str(Path(runs).resolve()), near))


def all_runs(runs: str | Path = "runs") -> list[RunFolder]:
    """Every run under that folder, oldest first."""
    root = Path(runs)
    found = [RunFolder(p.parent.resolve()) for p in root.glob("*/plan.json")] if root.is_dir() else []
    return sorted(found, key=lambda folder: folder.plan.stat().st_mtime)


def check_name(name: str) -> None:
    """Raise BackendError unless `name` is a plain folder name."""
    if not NAME.fullmatch(name):
        raise BackendError(
            Problem(f"{name!r} cannot name a run", do="use letters, digits, '.', '_' and '-', at most 100")
        )


def take_lease(folder: RunFolder) -> None:
    """Make this process the run's driver. Raises BackendError while another one lives."""
    refuse_driven(folder)
    write_json(folder.lease, {"pid": os.getpid(), "started": _start_ticks(os.getpid()), "boot": _boot()})


def refuse_driven(folder: RunFolder) -> None:
    """Raise BackendError while another process drives the run."""
    holder = lease_holder(folder)
    if holder is not None and holder != os.getpid():
        raise BackendError(
            Problem(
                f"run {folder.name} is being driven by process {holder}",
                str(folder.path),
                f"wait for it, or stop it with `kill {holder}`",
            )
        )


def lease_holder(folder: RunFolder) -> int | None:
    """The process that drives the run, if it is alive on this machine (a reused number does not count)."""
    lease = read_json(folder.lease)
    if not lease or lease.get("boot") != _boot():
        return None
    pid = int(lease["pid"])
    return pid if _start_ticks(pid) == lease.get("started") else None


def drop_lease(folder: RunFolder) -> None:
    """Say that nobody drives the run any more."""
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
    if lease_holder(folder) is not None:
        return "running"
    outcome = read_json(folder.outcome)
    return str(outcome["status"]) if outcome else "died"


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, fields = stat.rsplit(")", 1)[1].split()[0], stat.rsplit(")", 1)[1].split()
    return None if state == "Z" else int(fields[19])


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
