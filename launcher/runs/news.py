"""What is new in a run's folder since the last look, as lines: for the process that drives the run.

It sends nothing to the ranks, and reads no line twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from launcher.json_lines import NewLines
from launcher.plan.plan import Plan
from launcher.printing import clock, evaluation_line, is_step, step_line
from launcher.runs.pace import Pace
from launcher.runs.publishing import newest_attempt
from launcher.runs.run_folder import RunFolder

Kind = Literal["note", "doing", "step", "evaluation"]
WAITED_FOR = "importing libraries"
"""What ranks do before their first beat."""
IN_WORDS = {
    "starting": "reading the recipe",
    "joining": "meeting the other ranks",
    "wrapping": "preparing the model to train",
    "restoring": "reading the checkpoint",
}
"""Stages of the start that have a short name in the pulse."""


class News:
    """Looks at the newest attempt; what was there before is skipped."""

    def __init__(self, folder: RunFolder, plan: Plan):
        self.folder, self.steps = folder, plan.steps
        self.attempt = folder.attempts()[-1]
        self.notes, self.events = NewLines(self.attempt.notes), NewLines(folder.events)
        self.evaluations = NewLines(folder.evaluations)
        self.events.skip()
        self.evaluations.skip()
        self.pace = Pace(plan.batch_size)
        self.last: dict[str, Any] | None = None
        """The newest logged step of this attempt."""
        self.doing, self.step = "", 0

    def look(self) -> Iterator[tuple[Kind, str]]:
        """What is new. Raises WorkerError where the run's folder was taken away."""
        newest = newest_attempt(self.folder)
        if newest != self.attempt:
            self.attempt, self.notes = newest, NewLines(newest.notes)
            self.last, self.step = None, 0
        for note in self.notes.look():
            yield "note", str(note.get("note"))
        yield from self._does()
        for event in self.events.look():
            if not is_step(event) or event["attempt"] != newest.number:
                continue  # from an attempt that was taken over
            self.last = event
            self.pace.hear(event)
            left = self.pace.left(self.steps)
            yield "step", step_line(event, self.steps) + (f"  {clock(left)} left" if left is not None else "")
        for evaluation in self.evaluations.look():
            yield "evaluation", evaluation_line(evaluation.get("step", 0), self.steps, evaluation)

    def seconds_left(self) -> float | None:
        """How long the rest takes; None while that is not known."""
        return self.pace.left(self.steps)

    def _does(self) -> Iterator[tuple[Kind, str]]:
        """What rank 0 does now; a line about it while the run starts, which may take minutes."""
        beat = self.attempt.beat(0) or {"section": "starting", "stage": WAITED_FOR}
        starts, before = beat["section"] == "starting", self.doing
        stage = str(beat.get("stage", "starting") if starts else beat["section"])
        self.doing, self.step = IN_WORDS.get(stage, stage), beat.get("step", 0)
        if starts and self.doing != before and self.last is None:
            yield "doing", self.doing
