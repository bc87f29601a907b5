"""What a person sees: a progress bar on a terminal, plain lines elsewhere, the plan."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launcher.errors import BackendError, printable
from launcher.plan.plan import Plan
from launcher.printing import clock as clock
from launcher.printing import json_line, one_line
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs.news import News
from launcher.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Shows a run from its folder. Nothing that goes wrong here ends the run."""

    def __init__(self, folder: RunFolder, plan: Plan, to_stderr: bool):
        self.news, self.steps = News(folder, plan), plan.steps
        self.stream = sys.stderr if to_stderr else sys.stdout
        self.bar: Bar | None = None
        self.bar_task: Any = None
        self.next_look = 0.0
        if self.stream.isatty():
            self._open_bar()

    def say(self, text: str) -> None:
        """One line, above the bar where there is one; nothing in it steers the terminal."""
        with contextlib.suppress(OSError, ValueError):  # a program that calls us may have replaced its streams
            self._say(printable(text))

    def _say(self, text: str) -> None:
        if self.bar is not None:
            self.bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=self.stream, flush=True)

    def tick(self) -> None:
        """Look at what is new and show it; called several times a second."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + 0.2
        with contextlib.suppress(
            BackendError, LookupError, TypeError, ValueError, OSError
        ):  # a damaged file of the run
            for kind, line in self.news.look():
                if self.bar is None or kind in ("note", "evaluation"):
                    self.say(line)
        if self.bar is not None:
            self._move_bar()

    def close(self) -> None:
        """Show what is still new, and put the terminal back."""
        self.next_look = 0.0
        self.tick()
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),  # what the words leave of the line
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(file=self.stream),
            redirect_stderr=sys.stderr.isatty(),
            expand=True,
        )
        self.bar_task = self.bar.add_task("starting", total=self.steps, figures="")
        self.bar.start()

    def _move_bar(self) -> None:
        assert self.bar is not None
        last, left = self.news.last, self.news.seconds_left()
        figures = f"loss {last['loss']:.4f}  {last['examples_per_second']:.0f} examples/s" if last else ""
        figures += f"  {clock(left)} left" if left is not None else ""
        self.bar.update(self.bar_task, completed=self.news.step, description=self.news.doing, figures=figures)


def print_plan(loaded: LoadedRecipe, plan: Plan, line: str, trackers: Sequence[str] = ()) -> None:
    """The plan of a dry run, and the line to type instead."""
    an_epoch = f"{plan.steps_per_epoch} an epoch" if plan.steps_per_epoch else "at most"
    rows = [
        ("recipe", str(loaded.path)),
        ("strategy", plan.strategy),
        ("device", plan.device),
        ("precision", plan.precision),
        ("batch", plan.derivation()),
        ("steps", f"{plan.steps} ({an_epoch})"),
        ("threads", f"{plan.threads_per_process} a process"),
        ("data", plan.prepared),
        *([("trackers", ", ".join(trackers))] if trackers else []),
    ]
    for name, value in rows:
        print(f"{name:<10} {one_line(value)}")
    if line:
        print(f"\nby hand:\n{line}")


def data_lines(facts: dict[str, Any]) -> list[str]:
    """What `prepare` reports about the data, as lines: rows, lengths, cut texts, repeated rows, warnings."""
    lines = list((facts.get("onward") or {}).get("lines", ()))
    for name, rows in facts["examples"].items():
        tokens, cut, encoded = facts["tokens"][name], facts["truncated"][name], facts["rows"][name]
        if name == "train" and "stream" in facts:
            lines += stream_lines(facts["stream"])
        line = f"{name}: {rows:,} rows" + (" as a sample" if name == "train" and "stream" in facts else "")
        line += f", which the model sees as {encoded:,}" if encoded != rows else ""
        if rows and facts["report"].get("of") != "image":
            line += f", {tokens['median']} tokens at the median, {tokens['longest']} at most"
        line += f", {cut:,} cut at {facts['max_length']}" if cut else ""
        lost = [f"{count:,} {what.replace('_', ' ')}" for what, count in facts["lost"][name].items() if count]
        lines.append(line + (f" ({', '.join(lost)})" if lost else ""))
    source = [f"{count:,} {what.replace('_', ' ')}" for what, count in facts.get("source", {}).items() if count]
    lines += [f"vectors: {', '.join(source)}"] if source else []
    lines += facts.get("vectors", [])
    lines += [cut["line"]] if (cut := facts.get("cut")) and cut["line"] else []
    dropped = {what: count for what, count in facts["report"]["duplicates"]["dropped"].items() if count}
    if dropped:
        counts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in dropped.items())
        lines.append(f"rows dropped: {counts}")
    return [one_line(line) for line in [*lines, *_converted(facts["report"])]]


def stream_lines(stream: dict[str, Any]) -> list[str]:
    """What a corpus that is streamed has of files; how many rows, where its files are plain text."""
    lines, several = [], len(stream["sources"]) > 1
    for name, source in stream["sources"].items():
        line = f"stream{f' of {name}' if several else ''}: {source['files']:,} files, {source['bytes']:,} bytes"
        line += f" in {source['shards']:,} shards"
        line += f", {100 * source['share']:.1f} % of the rows" if several else ""
        lines.append(line)
        if source["packed"]:
            lines.append(f"{source['packed']:,} files are packed: a run that goes on unpacks them up to where it was")
    if stream["rows_a_pass"]:
        lines.append(f"about {stream['rows_a_pass']:,} rows a pass, as its sample has them")
    return lines


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
