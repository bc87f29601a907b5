"""The run folder: every file name in it, atomic writes, and finding runs again. It knows names and bytes.

runs/<name>/
  plan.json recipe.json recipe.py      what was promised, and the source that made it
  lease.json                           the process that drives the run now
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

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher import lineage, living
from launcher.errors import BackendError, Problem, did_you_mean
from launcher.json_files import append_line as append_line
from launcher.json_files import read_json as read_json
from launcher.json_files import read_lines as read_lines
from launcher.json_files import write_json as write_json
from launcher.lineage import Lineage

NAME = re.compile(r"[^\W_][\w.-]*")


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

    @property
    def origin(self) -> Path:
        """Where this attempt comes from, written before it trains: `{"continues": {"attempt", "step"} or None}`."""
        return self.path / "origin.json"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints that this attempt has committed, and those that it took over."""
        return self.path / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.checkpoints / f"step-{step:08d}"

    def checkpoint_steps(self) -> list[int]:
        """The steps of its checkpoints, oldest first."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.checkpoints.glob("step-*"))

    @property
    def outcome(self) -> Path:
        """How the attempt ended, as it says itself."""
        return self.path / "outcome.json"

    @property
    def model(self) -> Path:
        """The saved model, until it is published."""
        return self.path / "model"

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
        """How the run ended, for scripts; `ended` is what counts."""
        return self.path / "outcome.json"

    @property
    def tensorboard(self) -> Path:
        """The event files of TensorBoard."""
        return self.path / "tensorboard"

    @property
    def figures(self) -> Path:
        """Figures of the data and of the result, as PNG."""
        return self.path / "figures"

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
        """Create the next attempt's folder: from now on the one before is taken over."""
        existing = self.attempts()
        return self.attempt_after(existing[-1].number if existing else 0)

    def attempt_after(self, number: int) -> AttemptFolder:
        """Create the folder of the attempt after that one. Raises BackendError when somebody else has."""
        attempt = self.attempt(number + 1)
        try:
            attempt.path.mkdir(parents=True)
        except FileExistsError:
            what = f"attempt {attempt.number} has begun elsewhere"
            raise BackendError(Problem(what, str(self.path), "follow it with `launcher status`")) from None
        return attempt

    def lineage(self) -> Lineage:
        """Which steps of which attempt count."""
        return lineage.follow((attempt.number, read_json(attempt.origin)) for attempt in self.attempts())

    def ended(self) -> dict[str, Any] | None:
        """How the run ended, as its newest attempt says; None while that one has said nothing."""
        attempts = self.attempts()
        outcome: dict[str, Any] | None = read_json(attempts[-1].outcome if attempts else self.outcome)
        return outcome

    def events_so_far(self) -> list[dict[str, Any]]:
        """The logged steps that count, in order."""
        return self._that_count(self.events)

    def evaluations_so_far(self) -> list[dict[str, Any]]:
        """The evaluations that count, in order."""
        return self._that_count(self.evaluations)

    def _that_count(self, path: Path) -> list[dict[str, Any]]:
        chain = self.lineage()
        newest = {line["step"]: line for line in read_lines(path) if chain.holds(line["attempt"], line["step"])}
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
    if not NAME.fullmatch(name) or len(name.encode()) > 100:
        do = "use letters, digits, '.', '_' and '-', at most 100 (a Chinese character counts three)"
        raise BackendError(Problem(f"{name!r} cannot name a run", do=do))


def take_lease(folder: RunFolder) -> None:
    """Make this process the run's driver. Raises BackendError while another one lives."""
    refuse_driven(folder)
    write_json(folder.lease, living.identity())


def refuse_driven(folder: RunFolder) -> None:
    """Raise BackendError while another process drives the run."""
    holder = lease_holder(folder)
    if holder is not None and holder != os.getpid():
        what = f"run {folder.name} is being driven by process {holder}"
        do = f"wait for it, or stop it with `kill {holder}`"
        raise BackendError(Problem(what, str(folder.path), do))


def lease_holder(folder: RunFolder) -> int | None:
    """The process that drives the run, if it is alive on this machine (a reused number does not count)."""
    lease = read_json(folder.lease)
    return int(lease["pid"]) if lease and living.lives(lease) else None


def drop_lease(folder: RunFolder) -> None:
    """Say that nobody drives the run any more; whoever has taken over keeps its own."""
    if read_json(folder.lease) == living.identity():
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
    outcome = folder.ended()
    return str(outcome["status"]) if outcome else "died"
