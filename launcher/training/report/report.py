"""What a run reports while it trains: events, TensorBoard, the pulse, plain lines in the log; by rank 0 only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.json_lines import append_line
from launcher.plan.plan import Plan
from launcher.printing import evaluation_line, step_line
from launcher.recipe.recipe import settled
from launcher.runs import pulse, room
from launcher.runs.publishing import refuse_taken_over
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.report import curves
from launcher.training.report.gallery import ResultGallery, show_data
from launcher.training.report.tensorboard import Board
from launcher.training.report.written_texts import side_by_side
from launcher.training.tasks.base import TaskWork


class Report:
    """The reports of one rank; every rank has a pulse, only the leading one writes the rest."""

    def __init__(self, folder: RunFolder, attempt: int, rank: int, steps: int, recipe_text: str):
        self.folder, self.attempt, self.rank, self.steps = folder, attempt, rank, steps
        self.leads = rank == 0
        pulse.begin(folder.attempt(attempt).pulse(rank))
        self.last_section = ""
        self.recipe_text = recipe_text
        self.board = Board(folder, self.note)
        self.begins_after = 0
        """The step that this attempt continues from."""

    def introduce(
        self, plan: Plan, about: Mapping[str, Any], counts: Mapping[str, int], held: Mapping[str, int]
    ) -> None:
        """Say how the batch is made, what trains, and `about` what the strategy does with it."""
        self.say(plan.derivation())
        self.say(f"{counts['trainable']:,} of {counts['total']:,} parameters train")
        self.say(
            f"{plan.strategy} in force as {about['wrapper']}: {about['sharded_tensors']} of {about['tensors']} "
            f"tensors sharded, {held['parameters']:,} of {about['whole_parameter_bytes']:,} bytes of weights on a rank"
        )

    def say(self, text: str) -> None:
        """One line in the log, from rank 0 only."""
        if self.leads:
            with contextlib.suppress(OSError):  # a full disk
                print(text, flush=True)

    def note(self, text: str) -> None:
        """The same, also shown to the user who started the run."""
        self.say(text)
        if self.leads:
            with contextlib.suppress(OSError):
                append_line(self.folder.attempt(self.attempt).notes, {"note": text, "time": time.time()})

    def section(self, name: str, step: int = 0) -> None:
        """What this rank does from now on."""
        self.last_section = name
        pulse.section(name, step, self.steps)

    def starts(self, what: str) -> None:
        """What this rank does before its first step: a large model may take minutes."""
        self.last_section = "starting"
        pulse.section("starting", self.begins_after, self.steps, what)

    def pulse(self, step: int) -> None:
        """A step has ended."""
        if self.last_section == "training":
            pulse.tick("training", step)
        else:
            self.section("training", step)

    def logged(self, step: int, numbers: dict[str, float]) -> None:
        """One line of events.jsonl, of the log and of TensorBoard. Raises WorkerError once another has taken over."""
        if not self.leads:
            return
        refuse_taken_over(self.folder, self.attempt)
        event = {
            "step": step,
            "loss": numbers["loss"],
            **numbers,
            "attempt": self.attempt,
            "time": time.time(),
        }
        room.patiently(append_line, self.folder.events, event)
        self.say(step_line(event, self.steps))
        self._scalars(step, curves.of_step(numbers))

    def evaluated(self, step: int, metrics: dict[str, Any]) -> None:
        """One line of evaluations.jsonl, of the log and of TensorBoard. Raises WorkerError as `logged` does."""
        if not self.leads:
            return
        refuse_taken_over(self.folder, self.attempt)
        line = {"step": step, "attempt": self.attempt, **metrics}
        room.patiently(append_line, self.folder.evaluations, line)
        self.say(evaluation_line(step, self.steps, metrics))
        self._scalars(step, curves.of_evaluation(metrics))
        self._texts("validation", metrics, step)

    def describe(self, prepared: Path, work: TaskWork, model: str) -> None:
        """Show the run's recipe, data and model (a summary in Markdown), unless an older attempt has."""
        if self.leads and not self.begins_after:
            self.board.text("recipe", lambda: f"```python\n{self.recipe_text}\n```")
            self.board.text("model", lambda: model)
            show_data(self.board, prepared, work)

    def concluded(self, gallery: ResultGallery, metrics: dict[str, Any], step: int) -> None:
        """Show the result: figures, and settings beside metrics. Raises WorkerError as `logged` does."""
        if not self.leads:
            return
        refuse_taken_over(self.folder, self.attempt)
        self._scalars(step, curves.of_result(metrics))
        self._texts("test", metrics["test"] or {}, step)
        gallery.show(metrics["test"], step)
        values, plan = settled(read_json(self.folder.recipe)), read_json(self.folder.plan)
        self.board.settings({**values, **{name: plan[name] for name in ("strategy", "world_size")}})

    def close(self) -> None:
        """Let the board finish."""
        self.board.close()

    def _texts(self, split: str, metrics: Mapping[str, Any], step: int) -> None:
        if texts := metrics.get("texts"):
            self.board.text(f"texts written/{split}", lambda: side_by_side(texts), step)

    def _scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        # what older attempts did beyond that step is hidden
        self.board.open(self.begins_after + 1 if self.attempt > 1 else None)
        self.board.scalars(step, values)
