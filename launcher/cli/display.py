"""What a person sees: a progress bar on a terminal, plain lines elsewhere, the plan."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from launcher.lines import evaluation_line, json_line, one_line, step_line
from launcher.plan import Plan
from launcher.publishing import newest_attempt
from launcher.recipe import LoadedRecipe
from launcher.rundir import RunFolder, read_json, read_lines

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Shows a run from its folder: it asks the ranks nothing."""

    def __init__(self, folder: RunFolder, plan: Plan, to_stderr: bool):
        self.folder, self.plan = folder, plan
        self.stream = sys.stderr if to_stderr else sys.stdout
        self.attempt = folder.attempts()[-1]
        self.events_told = sum(1 for _ in read_lines(folder.events))
        self.notes_told = 0
        self.evaluations_told = sum(1 for _ in read_lines(folder.evaluations))
        self.loss: float | None = None
        self.rate = 0.0
        self.bar: Bar | None = None
        self.bar_task: Any = None
        self.next_look = 0.0
        if self.stream.isatty():
            self._open_bar()

    def say(self, text: str) -> None:
        """One line, above the bar where there is one."""
        if self.bar is not None:
            self.bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=self.stream, flush=True)

    def tick(self) -> None:
        """Look at what is new and show it; called several times a second."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + 0.2
        newest = newest_attempt(self.folder)
        if newest != self.attempt:
            self.attempt, self.notes_told = newest, 0
        for note in list(read_lines(self.attempt.notes))[self.notes_told :]:
            self.notes_told += 1
            self.say(note["note"])
        for event in list(read_lines(self.folder.events))[self.events_told :]:
            self.events_told += 1
            if event["attempt"] != newest.number:
                continue  # from one that was left behind
            self.loss, self.rate = event["loss"], event["examples_per_second"]
            if self.bar is None:
                self.say(step_line(event, self.plan.steps) + self._eta(event["step"]))
        for evaluation in list(read_lines(self.folder.evaluations))[self.evaluations_told :]:
            self.evaluations_told += 1
            self.say(evaluation_line(evaluation["step"], self.plan.steps, evaluation))
        if self.bar is not None:
            self._move_bar()

    def close(self) -> None:
        """Show what is still new, and put the terminal back."""
        self.next_look = 0.0
        self.tick()
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _eta(self, step: int) -> str:
        seconds = (self.plan.steps - step) * self.plan.batch_size / self.rate if self.rate else 0
        return f"  {clock(seconds)} left"

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=Console(file=self.stream),
        )
        self.bar_task = self.bar.add_task("starting", total=self.plan.steps, told="")
        self.bar.start()

    def _move_bar(self) -> None:
        assert self.bar is not None
        beat = read_json(self.attempt.pulse(0)) or {"section": "starting", "step": 0}
        told = f"loss {self.loss:.4f}  {self.rate:.0f} examples/s" if self.loss is not None else ""
        self.bar.update(self.bar_task, completed=beat["step"] or None, description=beat["section"], told=told)


def print_plan(loaded: LoadedRecipe, plan: Plan, line: str) -> None:
    """The plan of a dry run, and the line to type instead."""
    rows = [
        ("recipe", str(loaded.path)),
        ("strategy", plan.strategy),
        ("device", plan.device),
        ("precision", plan.precision),
        ("batch", plan.derivation()),
        ("steps", f"{plan.steps} ({plan.steps_per_epoch} an epoch)"),
        ("threads", f"{plan.threads_per_process} a process"),
        ("data", plan.prepared),
    ]
    for name, value in rows:
        print(f"{name:<10} {value}")
    if line:
        print(f"\nby hand:\n{line}")


def data_lines(facts: dict[str, Any]) -> list[str]:
    """What `prepare` found in the data, as lines: rows, lengths, cut texts, repeated rows, warnings."""
    lines = []
    for name, rows in facts["rows"].items():
        tokens, cut = facts["tokens"][name], facts["truncated"][name]
        line = f"{name}: {rows:,} rows"
        if rows:
            line += f", {tokens['median']} tokens at the median, {tokens['longest']} at most"
        line += f", {cut:,} cut at {facts['max_length']}" if cut else ""
        lost = [f"{count:,} {what.replace('_', ' ')}" for what, count in facts["lost"][name].items() if count]
        lines.append(line + (f" ({', '.join(lost)})" if lost else ""))
    source = [f"{count:,} {what.replace('_', ' ')}" for what, count in facts.get("source", {}).items() if count]
    lines += [f"vectors: {', '.join(source)}"] if source else []
    dropped = {what: count for what, count in facts["report"]["duplicates"]["dropped"].items() if count}
    if dropped:
        told = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in dropped.items())
        lines.append(f"rows dropped: {told}")
    return [one_line(line) for line in [*lines, *_converted(facts["report"])]]


def _converted(report: dict[str, Any]) -> list[str]:
    """What was not read as it stands in the file: encodings, tag schemes; and warnings."""
    encodings = {file: name for split in report["splits"].values() for file, name in split["encoding"].items()}
    lines = [f"{file}: read as {name}" for file, name in encodings.items() if not name.startswith("utf-8")]
    for name, tags in report["tags"].items():
        if tags["converted"]:
            lines.append(f"{name}: {tags['converted']:,} sentences were written in {tags['scheme']} and are BIO now")
    return lines + [f"warning: {warning}" for warning in report["warnings"]]


def print_json(value: Any) -> None:
    """One JSON value, Chinese as it is."""
    print(json_line(value))


def clock(seconds: float) -> str:
    """`1:05` or `2:00:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
