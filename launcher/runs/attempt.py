"""The files of one attempt at a run, by name; `launcher.runs.run_folder` has the rest of the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.host.vital_signs import read_beat
from launcher.runs.run_files import SHAPES, misfit


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
        """Notes for the user who started the run: one line each."""
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
        steps = (path.name.removeprefix("step-") for path in self.checkpoints.glob("step-*"))
        return sorted(int(step) for step in steps if step.isdecimal())

    @property
    def outcome(self) -> Path:
        """The outcome that the attempt wrote itself."""
        return self.path / "outcome.json"

    @property
    def model(self) -> Path:
        """The saved model, until it is published."""
        return self.path / "model"

    def node(self, number: int) -> Path:
        """How the ranks of one machine of several ended, written by it."""
        return self.path / f"node-{number}.json"

    def pulse(self, rank: int) -> Path:
        """What the rank is doing now (`launcher.runs.pulse`): `{"section", "step", "steps", "time", …}`."""
        return self.path / f"rank-{rank}.pulse.json"

    def beat(self, rank: int) -> dict[str, Any]:
        """The rank's last beat; empty where it has written none, or a crash has left nothing of it."""
        return _beat(self.pulse(rank))

    def heard(self) -> float:
        """When one of its ranks last had a pulse, in seconds since the epoch; 0 where none has had one."""
        return max((_time_of(pulse) for pulse in self.path.glob("rank-*.pulse.json")), default=0.0)


def _time_of(pulse: Path) -> float:
    return float(_beat(pulse).get("time", 0.0))


def _beat(pulse: Path) -> dict[str, Any]:
    beat = read_beat(pulse)
    return {} if misfit(beat, SHAPES["pulse.json"]) else beat
