"""How long a run still takes: from the steps that were logged, without the time of its start."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

MOST = 50
"""How many of the newest intervals between two log lines count."""


WARMING_UP = 5
"""How many of the oldest of them are left out: they may be a run's first, which are slower than the rest."""


@dataclass
class Pace:
    """Gets the logged steps in their order.

    The first one of an attempt is not measured: libraries warm up in it. The fastest and slowest few are left out;
    evaluations and checkpoints count as soon as one has been timed.
    """

    batch_size: int
    last: dict[str, Any] | None = None
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=MOST))
    """A step's, in each interval."""
    stepped: float = 0.0
    """Seconds in steps since the second log line."""
    elapsed: float = 0.0
    """Seconds since then."""
    longest: float = 0.0
    """The most seconds spent outside the steps between two log lines: an evaluation."""
    beside: float = 1.0
    """Elapsed time by time in steps, as of the last evaluation: until the next one it does not sink."""

    def hear(self, event: dict[str, Any]) -> None:
        """A logged step; one of another attempt begins anew."""
        last, self.last = self.last, event
        if last is None or last["attempt"] != event["attempt"] or event["step"] <= last["step"]:
            self.seconds.clear()
            self.stepped, self.elapsed, self.longest, self.beside = 0.0, 0.0, 0.0, 1.0
            return
        if event["examples_per_second"] <= 0:
            return
        steps = event["step"] - last["step"]
        second = self.batch_size / event["examples_per_second"]
        if self.seconds:  # between the first two log lines the run tests whether the model can be saved
            passed = event["time"] - last["time"]
            self.stepped, self.elapsed = self.stepped + steps * second, self.elapsed + passed
            self.longest = max(self.longest, passed - steps * second)
            if passed - steps * second >= self.longest / 2:
                self.beside = max(1.0, self.elapsed / self.stepped)
        self.seconds.append(second)

    def left(self, steps: int) -> float | None:
        """Seconds until all steps are done; None while that is not known."""
        if self.last is None or not self.seconds:
            return None
        ordered = sorted(list(self.seconds)[min(WARMING_UP, len(self.seconds) // 2) :])
        odd = len(ordered) // 25
        second = fmean(ordered[odd : len(ordered) - odd])
        return float((steps - self.last["step"]) * second * self.beside)
