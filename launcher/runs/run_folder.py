"""The run folder: every file name in it, which of its lines count, and finding runs again.

runs/<name>/
  plan.json recipe.json recipe.py      what was promised, and the source that made it
  lease.json launcher.log              the process that drives the run now; what it prints in the background
  events.jsonl evaluations.jsonl       one line a logged step; one line an evaluation; each with its attempt
  outcome.json model/                  how it ended; the verified result: as the newest attempt published them
  trackers.json tracking/              whom it reports to besides (runs/trackers.py), and how far each has been told
  tensorboard/ figures/                what TensorBoard reads; the same figures as PNG
  attempts/N/                          rank-K.log, rank-K.failure.json, rank-K.pulse.json, notes.jsonl, ending.json, …
    origin.json                        which checkpoint, of which attempt, this one goes on from
    checkpoints/step-00000120/         resumable states (training/checkpoints/writer.py)
    outcome.json                       how the attempt ended

`launcher.runs.lineage` decides what counts of several attempts.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem, did_you_mean, whose
from launcher.json_lines import last_lines, read_lines
from launcher.runs import lineage
from launcher.runs.attempt import AttemptFolder
from launcher.runs.lineage import Lineage
from launcher.runs.run_files import read_json

MARKS = ("plan.json", "recipe.json")
"""Files by which a run's folder is recognised."""
NAME = re.compile(r"[^\W_][\w.-]*")


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
        """The request to the cluster's scheduler."""
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
    def log(self) -> Path:
        """What the driver of a run in the background printed."""
        return self.path / "launcher.log"

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
    def trackers(self) -> Path:
        """Whom the run reports to besides TensorBoard."""
        return self.path / "trackers.json"

    @property
    def tracking(self) -> Path:
        """How far each of them has been told, `NAME.json`, and what its process printed, `NAME.log`."""
        return self.path / "tracking"

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
        """The saved and verified model."""
        return self.path / "model"

    def attempt(self, number: int) -> AttemptFolder:
        """The folder of attempt `number`."""
        return AttemptFolder(self.path / "attempts" / str(number))

    def attempts(self) -> list[AttemptFolder]:
        """All attempts so far, oldest first."""
        folder = self.path / "attempts"
        numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal()) if folder.is_dir() else []
        return [self.attempt(number) for number in numbers]

    def new_attempt(self) -> AttemptFolder:
        """Create the next attempt's folder: from now on the one before is taken over."""
        existing = self.attempts()
        return self.attempt_after(existing[-1].number if existing else 0)

    def attempt_after(self, number: int) -> AttemptFolder:
        """Create the folder of the attempt after that one. Raises BackendError when another process has."""
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
        """How the run ended, by its newest attempt; None while that one has no outcome."""
        attempts = self.attempts()
        outcome: dict[str, Any] | None = read_json(attempts[-1].outcome if attempts else self.outcome)
        return outcome

    def events_so_far(self) -> list[dict[str, Any]]:
        """The logged steps that count, in order."""
        return self._that_count(self.events)

    def evaluations_so_far(self) -> list[dict[str, Any]]:
        """The evaluations that count, in order."""
        return self._that_count(self.evaluations)

    def newest_events(self, most: int) -> list[dict[str, Any]]:
        """The last logged steps that count, in order; what lies before them is not read."""
        return last_lines(self.events, most, _that_count(self.lineage()))

    def newest_evaluation(self) -> dict[str, Any] | None:
        """The last evaluation that counts."""
        return next(iter(last_lines(self.evaluations, 1, _that_count(self.lineage()))), None)

    def _that_count(self, path: Path) -> list[dict[str, Any]]:
        newest = {line["step"]: line for line in filter(_that_count(self.lineage()), read_lines(path))}
        return [newest[step] for step in sorted(newest)]


def _that_count(chain: Lineage) -> Callable[[dict[str, Any]], bool]:
    def counts(line: dict[str, Any]) -> bool:
        attempt, step = line.get("attempt"), line.get("step")
        return isinstance(attempt, int) and isinstance(step, int) and chain.holds(attempt, step)

    return counts


def find(run: str | Path, runs: str | Path = "runs") -> RunFolder:
    """The run of that name under `runs`, or at that path. Raises BackendError where there is none."""
    for path in (Path(runs) / run, Path(run)):
        try:
            if _holds_a_run(path):
                return RunFolder(path.resolve())
        except PermissionError as error:
            what = f"run {path.name} cannot be looked at: {error.strerror}{whose(path)}"
            raise BackendError(Problem(what, str(path.absolute()), "ask its owner for read access")) from None
        except OSError:  # too long for a name: a text was given and the run left out
            continue
    near = did_you_mean(str(run), [folder.name for folder in all_runs(runs)])
    shown = str(run) if len(str(run)) <= 80 else f"{str(run)[:80]}…"
    raise BackendError(Problem(f"there is no run {shown!r}", str(Path(runs).resolve()), near))


def all_runs(runs: str | Path = "runs") -> list[RunFolder]:
    """Every run under that folder, oldest first."""
    root = Path(runs)
    folders = {path.parent for name in MARKS for path in root.glob(f"*/{name}")} if root.is_dir() else set()
    return sorted((RunFolder(path.resolve()) for path in folders if _holds_a_run(path)), key=_made)


def _holds_a_run(path: Path) -> bool:
    """Whether a run was written there, even if one of the two files has been lost since."""
    present = [(path / name).is_file() for name in MARKS]
    return present[0] or (any(present) and (path / "attempts").is_dir())


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


def is_run(folder: RunFolder) -> bool:
    """Whether that folder was made by a run (it may have died before its plan was written), or is empty."""
    known = folder.plan.is_file() or folder.lease.is_file()
    return known or (folder.path.is_dir() and not any(folder.path.iterdir()))


def remove(folder: RunFolder) -> None:
    """Delete a whole run (for `--overwrite`)."""
    shutil.rmtree(folder.path)
