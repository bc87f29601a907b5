"""How often an attempt is repeated whose processes were killed, hung or lost each other.

As long as each attempt saves something new, again and again: that comes to an end. Not when it breaks after the same
step twice, for then the run itself kills its processes (a row that takes all memory, a bug in native code), and not
many times without a new checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors import Problem, WorkerError
from launcher.rundir import AttemptFolder, RunFolder, read_lines

MOST_WITHOUT_A_CHECKPOINT = 3
"""So many repeated attempts in a row may end without having saved anything new."""


@dataclass
class Repairs:
    """The faults of one run since its driver began."""

    folder: RunFolder
    reached: int | None = None
    """The last logged step of the attempt that had a fault before."""
    saved: int = 0
    """The newest checkpoint's step, then."""
    in_a_row: int = 0

    def judge(self, attempt: AttemptFolder, failure: WorkerError) -> WorkerError:
        """The failure as it is; or, where a fault is not to be repeated again, as one that ends the run."""
        if not failure.repeatable:
            self.reached, self.in_a_row = None, 0
            return failure
        reached, saved = self._reached(attempt), max(attempt.checkpoint_steps(), default=0)
        self.in_a_row = self.in_a_row + 1 if saved <= self.saved else 1
        twice = reached == self.reached
        self.reached, self.saved = reached, max(saved, self.saved)
        if not twice and self.in_a_row <= MOST_WITHOUT_A_CHECKPOINT:
            return failure
        why = f"after step {reached}, as in the attempt before" if twice else f"{self.in_a_row} attempts saved nothing"
        first, *rest = failure.problems
        advice = "repeating does not mend it: read the logs of both attempts"
        do = f"{first.do}; {advice}" if first.do else advice
        return WorkerError([Problem(f"{first.what} ({why})", first.where, do), *rest])

    def _reached(self, attempt: AttemptFolder) -> int:
        steps = [int(event["step"]) for event in read_lines(self.folder.events) if event["attempt"] == attempt.number]
        return max(steps, default=0)
