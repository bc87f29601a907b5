"""`launcher list` and `launcher compare`: many runs, a line each.

`compared` decides which runs, in which order, and in what they differ; other pictures of the same comparison
(curves) start from it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.child import heavy
from launcher.cli.columns import WIDTH_OF_A_FILE, print_table, terminal_width, width_of, without
from launcher.cli.display import print_json
from launcher.cli.summary import Summary, summaries
from launcher.cluster.job_array import runs_named
from launcher.errors import BackendError, Problem
from launcher.printing import clock, one_line
from launcher.recipe.metrics import written
from launcher.recipe.recipe import shown
from launcher.recipe.task import stored_metrics
from launcher.runs import run_folder
from launcher.runs.run_folder import RunFolder

LONGEST_CELL = 32


@dataclass(frozen=True)
class Comparison:
    """Runs of one task beside each other, the best first."""

    runs: list[Summary]
    task: str
    metric: str | None
    """What they are sorted by, on the validation split."""
    differing: list[str]
    """The fields of their recipes, and of their plans, that are not the same in all."""

    @property
    def damaged(self) -> bool:
        """Whether these are runs whose files cannot be read."""
        return self.runs[0].problem is not None

    def field(self, run: Summary, name: str) -> Any:
        """A differing field of a run; None where its recipe has no such field."""
        return getattr(run, name) if name in PLAN_FIELDS else run.values.get(name)

    def shown_fields(self) -> list[str]:
        """The differing fields worth showing: fields of objects of different kinds only if all runs have them."""
        differing = set(self.differing)

        def comparable(name: str) -> bool:
            parts = name.split(".")
            above = {".".join(parts[:length]) for length in range(1, len(parts))}
            return not above & differing or all(name in run.values for run in self.runs)

        return [name for name in self.differing if comparable(name)]

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        names = [run.run for run in self.runs]
        return {"task": self.task, "metric": self.metric, "differing": self.differing, "runs": names}


PLAN_FIELDS = ("strategy", "world_size")
"""Fields of a plan that are compared as if they were the recipe's."""


def compared(folders: Sequence[RunFolder]) -> list[Comparison]:
    """Compare those of each task, by the metric that most of them select by; the largest group first.

    A run that has no value of that metric but one of its own metric goes into another group. Runs without a value come
    last, in the order they were made.
    """
    groups: dict[tuple[str, str | None], list[Summary]] = {}
    runs = list(summaries(folders))
    for task in dict.fromkeys(run.task for run in runs):
        mine = [run for run in runs if run.task == task]
        metric = Counter(run.metric for run in mine).most_common(1)[0][0]
        for run in mine:
            known = run.value("validation", metric) is not None or run.value("validation") is None
            groups.setdefault((task, metric if known else run.metric), []).append(run)
    made = [_compared(group, task, metric) for (task, metric), group in groups.items()]
    return sorted(made, key=lambda comparison: (comparison.damaged, -len(comparison.runs)))


def _compared(runs: list[Summary], task: str, metric: str | None) -> Comparison:
    ways = [str(stored_metrics(run.values).get(metric or "") or run.better) for run in runs]
    sign = -1 if Counter(ways).most_common(1)[0][0] == "max" else 1

    def sort_key(run: Summary) -> tuple[bool, float]:
        value = run.value("validation", metric)
        return (value is None, 0.0 if value is None else sign * value)

    made = Comparison(sorted(runs, key=sort_key), task, metric, [])
    names = list(dict.fromkeys(name for run in runs for name in run.values))
    for name in [*names, *PLAN_FIELDS]:
        if len({json.dumps(made.field(run, name), sort_keys=True) for run in runs}) > 1:
            made.differing.append(name)
    return made


def show_comparison(names: Sequence[str], runs: Path, as_json: bool, png: Path | None = None) -> None:
    """Print what differs between the runs, and what came of it; draw their curves below `png`."""
    made = compared(_folders_named(names, runs))
    drawn: dict[str, list[str]] = {"figures": [], "notes": []}
    for group in made:
        if png is None or group.damaged:
            break
        name = "curves" if len(made) == 1 else f"curves-{made.index(group) + 1}"
        paths = [run.path for run in group.runs]
        request = {"runs": paths, "metric": group.metric, "folder": str(png.resolve()), "name": name}
        for what, lines in heavy("curves", request).items():
            drawn[what] += lines
    if as_json:
        documents = [{**_document(run), "differing": _differing(group, run)} for group in made for run in group.runs]
        first: dict[str, Any] = {"metric": made[0].metric, "differing": made[0].differing}
        groups = [group.document() for group in made]
        print_json({**first, "groups": groups, "runs": documents, **(drawn if png is not None else {})})
        return
    for number, group in enumerate(made):
        if group.damaged:
            for run in group.runs:
                print(one_line(f"{run.run} is damaged: {run.problem}"))
            continue
        order = ", the best first" if len(group.runs) > 1 else ""
        print("\n" * (number > 0) + one_line(f"{group.task}, by validation {group.metric or 'figures'}{order}"))
        _print_comparison(group)
    for line in [*drawn["notes"], *(f"figure: {path}" for path in drawn["figures"])]:
        print(one_line(line))


def _print_comparison(group: Comparison) -> None:
    """Every figure and every difference in columns where there is room, else in lines below each run."""
    width, names = terminal_width() or WIDTH_OF_A_FILE, group.shown_fields()
    heads, short = ["run", "status", "step", "chosen", "validation", "test"], _short_names(names)
    rows, costs, fields = [], [], []
    for run in group.runs:
        values = [written(run.value(split, group.metric)) for split in ("validation", "test")]
        rows.append([run.run, run.status, f"{run.step}/{run.steps}", _chosen(run), *values])
        peak = f"{run.peak_memory_bytes / 1e6:,.0f} MB" if run.peak_memory_bytes else "-"
        rate = f"{run.examples_per_second:,.1f}" if run.examples_per_second else "-"
        costs.append([clock(run.seconds) if run.seconds else "-", rate, peak])
        fields.append([_cell(name, group.field(run, name)) for name in names])
    wide = [[*row, *field, *cost] for row, field, cost in zip(rows, fields, costs, strict=True)]
    whole = [[*heads, *short, "time", "examples/s", "memory"], *wide]
    if width_of(whole) <= width:
        print_table(whole)
        return
    below = []
    for (time, rate, peak), values in zip(costs, fields, strict=True):
        cost = [] if time == "-" else [time, f"{rate} examples/s", f"{peak} of memory"]
        below.append([*cost, *(f"{name} {value}" for name, value in zip(short, values, strict=True) if value != "-")])
    print_table([heads, *rows], width, below)


def _chosen(run: Summary) -> str:
    """The step whose weights count."""
    return "-" if run.selected_step is None else str(run.selected_step)


def show_list(runs: Path, as_json: bool, names: Sequence[str] = ()) -> None:
    """Print all runs under that folder, or those that are named, oldest first."""
    listed = list(summaries(_folders_named(names, runs) if names else run_folder.all_runs(runs)))
    if as_json:
        print_json({"runs": [_document(run) for run in listed]})
        return
    if not listed:
        print(f"there are no runs in {runs.resolve()}; start one: launcher run RECIPE")
        return
    heads = ["run", "status", "step", "chosen", "metric", "made", "job"]
    rows = [heads]
    for run in listed:
        value = run.value("validation")
        metric = f"{run.metric} {written(value)}" if value is not None else "-"
        started, job = run.started[:16].replace("T", " "), "-" if run.job is None else str(run.job)
        rows.append([run.run, run.status, f"{run.step}/{run.steps}", _chosen(run), metric, started, job])
    idle = [] if any(run.job is not None for run in listed) else ["job"]
    width = terminal_width()
    below = [[run.problem] if run.problem else [] for run in listed]
    print_table(without(rows, [*idle, "made"], width), width, below if any(below) else ())


def _folders_named(names: Sequence[str], runs: Path) -> list[RunFolder]:
    folders = runs_named(names, runs) if names else run_folder.all_runs(runs)
    if not folders:
        raise BackendError(Problem("there are no runs", str(runs.resolve()), "start one: launcher run RECIPE"))
    return folders


def _document(run: Summary) -> dict[str, Any]:
    document = asdict(run)
    del document["values"]
    return document


def _differing(made: Comparison, run: Summary) -> dict[str, Any]:
    return {name: made.field(run, name) for name in made.differing}


def _short_names(names: Sequence[str]) -> list[str]:
    """`seed` for `training.seed`, where nothing else is called so."""
    last = Counter(name.rpartition(".")[2] for name in names)
    return [name.rpartition(".")[2] if last[name.rpartition(".")[2]] == 1 else name for name in names]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    plain = isinstance(value, str) and not name.endswith(".source")  # of a file beside the recipe its digest is shown
    text = one_line(value if plain else shown(name, value))
    if len(text) <= LONGEST_CELL:
        return text
    return f"…{text[1 - LONGEST_CELL :]}" if plain and "/" in text else f"{text[: LONGEST_CELL - 1]}…"
