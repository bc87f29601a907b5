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

from launcher import rundir
from launcher.attempts import heavy
from launcher.cli.display import clock, print_json, print_table
from launcher.cli.summary import Summary, summaries
from launcher.errors import BackendError, Problem
from launcher.job_array import runs_named
from launcher.lines import one_line
from launcher.recipe import shown
from launcher.rundir import RunFolder
from launcher.spec.task import METRICS

LONGEST_CELL = 32


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other, the best first."""

    runs: list[Summary]
    metric: str | None
    """What they are sorted by, on the validation split."""
    differing: list[str]
    """The fields of their recipes, and of their plans, that are not the same in all."""

    def field(self, run: Summary, name: str) -> Any:
        """A differing field of a run; None where its recipe has no such field."""
        return getattr(run, name) if name in PLACES else run.values.get(name)


PLACES = ("strategy", "world_size")
"""What of a plan is compared as if it stood in the recipe."""


def compared(folders: Sequence[RunFolder]) -> Comparison:
    """Compare them. Runs without a figure come last, in the order they were made."""
    runs = list(summaries(folders))
    metric = Counter(run.metric for run in runs).most_common(1)[0][0]
    sign = -1 if any(way.get(metric or "") == "max" for way in METRICS.values()) else 1

    def place(run: Summary) -> tuple[bool, float]:
        value = run.value("validation", metric)
        return (value is None, 0.0 if value is None else sign * value)

    made = Comparison(sorted(runs, key=place), metric, [])
    names = list(dict.fromkeys(name for run in runs for name in run.values))
    for name in [*names, *PLACES]:
        if len({json.dumps(made.field(run, name), sort_keys=True) for run in runs}) > 1:
            made.differing.append(name)
    return made


def show_comparison(names: Sequence[str], runs: Path, as_json: bool, png: Path | None = None) -> None:
    """Print what differs between the runs, and what came of it; draw their curves below `png`."""
    made = compared(_meant(names, runs))
    drawn: dict[str, list[str]] = {}
    if png is not None:
        paths = [run.path for run in made.runs]
        drawn = heavy("curves", {"runs": paths, "metric": made.metric, "folder": str(png.resolve())})
    if as_json:
        told = [{**_document(run), "differing": _differing(made, run)} for run in made.runs]
        print_json({"metric": made.metric, "differing": made.differing, "runs": told, **drawn})
        return
    short = _short_names(made.differing)
    figures = [f"validation {made.metric}", f"test {made.metric}", "time", "examples/s", "peak memory"]
    rows = [["run", "status", "step", *short, *figures]]
    for run in made.runs:
        fields = [_cell(name, value) for name, value in _differing(made, run).items()]
        peak = f"{run.peak_memory_bytes / 1e6:,.0f} MB" if run.peak_memory_bytes else "-"
        rows.append([run.run, run.status, f"{run.step}/{run.steps}", *fields])
        rows[-1] += [_value(run, "validation", made.metric), _value(run, "test", made.metric)]
        rows[-1] += [clock(run.seconds) if run.seconds else "-"]
        rows[-1] += [f"{run.examples_per_second:,.1f}" if run.examples_per_second else "-", peak]
    print_table(rows)
    for line in [*drawn.get("notes", []), *(f"figure: {path}" for path in drawn.get("figures", []))]:
        print(one_line(line))


def show_list(runs: Path, as_json: bool, names: Sequence[str] = ()) -> None:
    """Print all runs under that folder, or those that are named, oldest first."""
    found = list(summaries(_meant(names, runs) if names else rundir.all_runs(runs)))
    if as_json:
        print_json({"runs": [_document(run) for run in found]})
        return
    if not found:
        print(f"there are no runs in {runs.resolve()}; start one: launcher run RECIPE")
        return
    rows = [["run", "status", "step", "metric", "made", "job"]]
    for run in found:
        metric = f"{run.metric} {_value(run, 'validation')}" if run.value("validation") is not None else "-"
        started, job = run.started[:16].replace("T", " "), "-" if run.job is None else str(run.job)
        rows.append([run.run, run.status, f"{run.step}/{run.steps}", metric, started, job])
    print_table(rows)


def _meant(names: Sequence[str], runs: Path) -> list[RunFolder]:
    found = runs_named(names, runs) if names else rundir.all_runs(runs)
    if not found:
        raise BackendError(Problem("there are no runs", str(runs.resolve()), "start one: launcher run RECIPE"))
    return found


def _document(run: Summary) -> dict[str, Any]:
    told = asdict(run)
    del told["values"]
    return told


def _differing(made: Comparison, run: Summary) -> dict[str, Any]:
    return {name: made.field(run, name) for name in made.differing}


def _short_names(names: Sequence[str]) -> list[str]:
    """`seed` for `training.seed`, where nothing else is called so."""
    last = Counter(name.rpartition(".")[2] for name in names)
    return [name.rpartition(".")[2] if last[name.rpartition(".")[2]] == 1 else name for name in names]


def _value(run: Summary, split: str, metric: str | None = None) -> str:
    value = run.value(split, metric)
    return "-" if value is None else f"{value:.4f}"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    plain = isinstance(value, str) and not name.endswith(".source")  # of a file beside the recipe its digest is shown
    text = one_line(value if plain else shown(name, value))
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
