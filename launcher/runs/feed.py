"""The steps and evaluations of a run, in order and each once, for whoever passes them on while the run goes on.

What counts is decided as everywhere (`launcher.runs.lineage`). A step that was passed on is not passed on again when
another attempt repeats it: it repeats it exactly.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from launcher.json_lines import NewLines
from launcher.runs.run_folder import RunFolder

STEP, EVALUATION = "step", "evaluation"


class Feed:
    """`sent` holds the newest step that was passed on of each kind; whoever passes one on writes it there."""

    def __init__(self, folder: RunFolder, sent: MutableMapping[str, int]):
        self.folder, self.sent = folder, sent
        self.events, self.evaluations = NewLines(folder.events), NewLines(folder.evaluations)
        self.held: list[dict[str, Any]] = []
        """Steps that may lie behind an evaluation that was not seen yet."""

    def look(self) -> list[dict[str, Any]]:
        """What is new: the lines of both files with their `kind`, by steps; of one step the evaluation comes last."""
        steps = self.held + self.events.look()
        evaluations = self.evaluations.look()
        later = self.events.look()  # of what came meanwhile only that which no evaluation can lie before
        newest = max((line["step"] for line in evaluations if isinstance(line.get("step"), int)), default=-1)
        self.held = []
        for line in later:
            (self.held if isinstance(line.get("step"), int) and line["step"] > newest else steps).append(line)
        found = [{"kind": STEP, **line} for line in steps] + [{"kind": EVALUATION, **line} for line in evaluations]
        if not found:
            return []
        chain = self.folder.lineage()
        counted = {}
        for event in found:
            step, attempt = event.get("step"), event.get("attempt")
            if isinstance(step, int) and isinstance(attempt, int) and chain.holds(attempt, step):
                counted[(step, event["kind"] == EVALUATION)] = event
        ordered = [counted[place] for place in sorted(counted)]
        return [event for event in ordered if event["step"] > self.sent[event["kind"]]]
