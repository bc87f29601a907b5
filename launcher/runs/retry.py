"""How often an attempt is repeated whose processes were killed, hung or lost each other.

As long as attempts get further, without a limit: the run will finish. Not when the same rank ends in the same way after
the same step twice, for then the run itself kills its processes (a row that takes all memory, a bug in native code).
Before its first step an attempt is always at the same point, whatever kills it, so there it takes a few more; and
whatever breaks, many attempts in a row that got no further end the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors import Problem, WorkerError
from launcher.host.vital_signs import read_beat
from launcher.json_lines import last_lines
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_folder import RunFolder

MOST_ALIKE, MOST_IN_VAIN = 5, 20
"""How many attempts in a row may end without a new step: with the same process ending in the same way, and overall."""


@dataclass
class Repairs:
    """The faults of one run since its driver began."""

    folder: RunFolder
    victim: tuple[str, str] | None = None
    """What ended the attempt before."""
    reached: int = -1
    """The step after which it did; -1 before its first one."""
    furthest: int = 0
    """The last step that any attempt has made, or saved."""
    alike: int = 0
    """How many of the latest attempts got no further, and ended in the same way."""
    in_vain: int = 0
    """How many of them got no further, however they ended."""

    def judge(self, attempt: AttemptFolder, failure: WorkerError) -> WorkerError:
        """The failure as it is; or, where a fault is not to be repeated again, as one that ends the run."""
        if not failure.repeatable:
            self.victim, self.alike, self.in_vain = None, 0, 0
            return failure
        reached = self._reached(attempt)
        # what a rank does stops no process, and does not kill the one that forks
        its_own = failure.victim is not None and failure.victim[0] != "" and failure.victim[1] != "stopped"
        same = its_own and failure.victim == self.victim
        twice = same and reached == self.reached != -1
        furthest = max(reached, *attempt.checkpoint_steps(), 0)
        vain = furthest <= self.furthest
        self.in_vain = self.in_vain + 1 if vain else 0
        self.alike = self.alike + 1 if vain and same else int(vain)
        self.victim, self.reached, self.furthest = failure.victim, reached, max(furthest, self.furthest)
        if not twice and self.alike < MOST_ALIKE and self.in_vain < MOST_IN_VAIN:
            return failure
        many = self.alike if self.alike >= MOST_ALIKE else self.in_vain
        why = f"after step {reached}, as in the attempt before" if twice else f"{many} attempts got no further"
        first, *rest = failure.problems
        advice = "repeating does not mend it: read the logs of both attempts"
        do = f"{first.do}; {advice}" if first.do else advice
        return WorkerError([Problem(f"{first.what} ({why})", first.where, do), *rest])

    def _reached(self, attempt: AttemptFolder) -> int:
        """The last step of that attempt, by its ranks' pulses or by the log; -1 where it had begun none."""
        beats = [read_beat(path) for path in attempt.path.glob("rank-*.pulse.json")]
        if not any(beat.get("section", "starting") != "starting" for beat in beats):
            return -1
        logged = last_lines(self.folder.events, 1, lambda event: event.get("attempt") == attempt.number)
        return max(int(event.get("step", 0)) for event in [*logged, *beats])
