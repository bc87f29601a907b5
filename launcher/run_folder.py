"""One run's folder: every file name in it, and which of its lines count; `launcher.rundir` says what lies where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher import lineage
from launcher.attempt_folder import AttemptFolder
from launcher.errors import BackendError, Problem
from launcher.json_lines import last_lines, read_lines
from launcher.lineage import Lineage
from launcher.run_files import read_json


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
    def log(self) -> Path:
        """What the driver printed of a run in the background."""
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
        numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal()) if folder.is_dir() else []
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
