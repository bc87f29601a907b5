"""Ranks that make no step any more: seen by their pulses, and named.

Collectives wait for the one that stands still, so soon all do; the cause is a rank whose process somebody has stopped,
or else the one that has come least far.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import Problem
from launcher.json_files import read_json, write_json
from launcher.living import stands_still
from launcher.rundir import AttemptFolder

SECONDS_WITHOUT_A_STEP = 120.0
"""So long, and ten times as long as the slowest step so far, a rank may train without a step."""
SECONDS_BETWEEN_LOOKS = 1.0


@dataclass
class Stillness:
    """Watches the pulses of one machine's ranks through one attempt."""

    attempt: AttemptFolder
    beats: dict[int, tuple[dict[str, Any], float]] = field(default_factory=dict)
    """Each rank's last beat, and when it was first seen."""
    slowest: float = 0.0
    """Seconds between two beats of a training rank."""
    next_look: float = 0.0

    def hang(self, processes: Mapping[int, int]) -> bool:
        """Whether one of these ranks stands still in training; then its story is written down, as it cannot."""
        now = time.monotonic()
        if now < self.next_look:
            return False
        self.next_look = now + SECONDS_BETWEEN_LOOKS
        for rank in processes:
            self._look(rank, now)
        limit = max(SECONDS_WITHOUT_A_STEP, 10 * self.slowest)
        still = [rank for rank in processes if rank in self.beats and self._silent(rank, now) > limit]
        if not still:
            return False
        self._tell(still, processes, now)
        return True

    def saving(self) -> bool:
        """Whether a rank was last seen at saving; `hang` keeps looking."""
        return any(beat["section"] == "saving" for beat, _ in self.beats.values())

    def _look(self, rank: int, now: float) -> None:
        beat = read_json(self.attempt.pulse(rank))
        before, since = self.beats.get(rank, (None, now))
        if beat and beat != before:
            if before and before["section"] == "training":
                self.slowest = max(self.slowest, now - since)
            self.beats[rank] = (beat, now)

    def _silent(self, rank: int, now: float) -> float:
        beat, since = self.beats[rank]
        return now - since if beat["section"] == "training" else 0.0

    def _tell(self, still: list[int], processes: Mapping[int, int], now: float) -> None:
        stopped = [rank for rank in still if stands_still(processes[rank])]
        rank = (stopped or sorted(still, key=lambda rank: int(self.beats[rank][0]["step"])))[0]
        beat, _ = self.beats[rank]
        what = f"rank {rank} has made no step for {self._silent(rank, now):.0f} s, after step {beat['step']}"
        what += ": its process was stopped" if stopped else ""
        problem = Problem(what, do="read its log; a rank that waits for another stands still as well")
        told = {"time": time.time(), "rank": rank, "problems": [problem.document()]}
        write_json(self.attempt.failure(rank), {**told, "kind": "stopped" if stopped else "hung"})
