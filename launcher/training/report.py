"""What a run tells while it trains: events, TensorBoard, the pulse, plain lines in the log. Rank 0 speaks.

TensorBoard is imported and written by a thread of its own, off the critical path.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launcher.lines import evaluation_line, step_line
from launcher.publishing import refuse_taken_over
from launcher.rundir import RunFolder, append_line, read_json
from launcher.training.batches import Split
from launcher.training.data.check import label_counts
from launcher.training.figures import labels_figure, lengths_figure, pixels

PULSE_SECONDS = 0.5
Told = queue.SimpleQueue[tuple[int, Mapping[str, float | Callable[[], Any]]] | None]
"""What TensorBoard is to show at a step: numbers, and functions that return a figure. None ends it."""


class Report:
    """The voice of one rank; every rank has a pulse, only the leading one writes the rest."""

    def __init__(self, folder: RunFolder, attempt: int, rank: int, steps: int, recipe_text: str):
        self.folder, self.attempt, self.rank, self.steps = folder, attempt, rank, steps
        self.leads = rank == 0
        self.pulse_path = folder.attempt(attempt).pulse(rank)
        self.last_pulse, self.last_section = 0.0, ""
        self.scalars: Told = queue.SimpleQueue()
        self.recipe_text = recipe_text
        self.writer: threading.Thread | None = None
        self.begins_after = 0
        """The step that this attempt goes on from."""

    def say(self, text: str) -> None:
        """One line in the log; rank 0 speaks for all."""
        if self.leads:
            with contextlib.suppress(OSError):  # a full disk
                print(text, flush=True)

    def note(self, text: str) -> None:
        """The same, also for the eyes of whoever started the run."""
        self.say(text)
        if self.leads:
            with contextlib.suppress(OSError):
                append_line(self.folder.attempt(self.attempt).notes, {"note": text, "time": time.time()})

    def section(self, name: str, step: int = 0) -> None:
        """What this rank does from now on."""
        self._beat(name, step)

    def pulse(self, step: int) -> None:
        """A step has ended; written at most twice a second, but at once after another section."""
        if self.last_section != "training" or time.monotonic() - self.last_pulse >= PULSE_SECONDS:
            self._beat("training", step)

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
        append_line(self.folder.events, event)
        self.say(step_line(event, self.steps))
        self._scalars(step, {f"train/{name}": value for name, value in numbers.items()})

    def evaluated(self, step: int, metrics: dict[str, Any]) -> None:
        """One line of evaluations.jsonl, of the log and of TensorBoard. Raises WorkerError as `logged` does."""
        if not self.leads:
            return
        refuse_taken_over(self.folder, self.attempt)
        numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
        append_line(self.folder.evaluations, {"step": step, "attempt": self.attempt, **metrics})
        self.say(evaluation_line(step, self.steps, metrics))
        self._scalars(step, {f"validation/{name}": value for name, value in numbers.items()})

    def describe(self, prepared: Path) -> None:
        """The run's data as two figures, read and drawn by TensorBoard's thread."""
        if self.leads and not self.begins_after:
            self.scalars.put((0, _data_figures(prepared)))

    def close(self) -> None:
        """Let TensorBoard's thread finish."""
        if self.writer is not None and self.writer.is_alive():
            self.scalars.put(None)
            self.writer.join(timeout=30)

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        if self.writer is None:
            # what older attempts did beyond that step is hidden
            purge = self.begins_after + 1 if self.attempt > 1 else None
            arguments = (self.folder.tensorboard, purge, self.recipe_text, self.scalars)
            self.writer = threading.Thread(target=_write_tensorboard, args=arguments, daemon=True)
            self.writer.start()
        self.scalars.put((step, values))

    def _beat(self, section: str, step: int) -> None:
        self.last_pulse, self.last_section = time.monotonic(), section
        beat = {"section": section, "step": step, "steps": self.steps, "time": time.time()}
        scratch = self.pulse_path.with_suffix(".tmp")
        try:
            scratch.write_text(json.dumps(beat), encoding="utf-8")
            scratch.replace(self.pulse_path)
        except OSError:  # a full disk; what matters is written elsewhere, and not forgiven
            scratch.unlink(missing_ok=True)


def _write_tensorboard(folder: Path, purge: int | None, text: str, scalars: Told) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=purge) as writer:
        writer.add_text("recipe", f"```python\n{text}\n```")
        while (item := scalars.get()) is not None:
            step, values = item
            for name, value in values.items():
                _show(writer, name, value, step)
            if scalars.empty():
                writer.flush()


def _data_figures(prepared: Path) -> dict[str, Callable[[], Any]]:
    facts = read_json(prepared / "facts.json")

    def lengths() -> Any:
        splits = {name: Split.load(prepared / f"{name}.safetensors").lengths for name in facts["rows"]}
        return lengths_figure(splits, facts["max_length"])

    counts = label_counts(facts["labels"], facts["report"]["splits"])
    return {"data/labels": lambda: labels_figure(counts), "data/lengths": lengths}


def _show(writer: Any, name: str, value: float | Callable[[], Any], step: int) -> None:
    if not callable(value):
        writer.add_scalar(name, value, step)
        return
    try:
        writer.add_image(name, pixels(value()), step, dataformats="HWC")
    except Exception as error:  # a figure that cannot be drawn must not cost the curves
        print(f"the figure {name} was not drawn: {type(error).__name__}: {error}", flush=True)
