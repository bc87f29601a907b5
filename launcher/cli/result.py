"""What came of a run, as a person reads it: which step was chosen, the tables of its metrics, where the model lies."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from launcher.cli.columns import WIDTH_OF_A_FILE, flowing, terminal_width
from launcher.printing import clock, each_number, one_line
from launcher.recipe.metrics import WITHOUT_VALUE, figures, finite_number, written
from launcher.runs.run_folder import RunFolder

TEXTS = 3
"""Written texts that are printed."""
MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def print_outcome(folder: RunFolder, outcome: dict[str, Any]) -> None:
    """The end of a run: the chosen step, test metrics before and after, by class, and where the model lies."""
    from launcher.cli.summary import summary

    metrics = outcome.get("metrics") or {}
    if metrics.get("test") is not None:
        print_chosen(summary(folder).choice())
        print_metrics(metrics.get("before"), metrics["test"])
        print_onward(outcome.get("onward") or {})
    seconds = outcome.get("seconds") or {}
    if outcome["status"] == "finished":
        first = seconds.get("to_first_step")
        print(
            f"\n{outcome['steps']} steps, {outcome['examples_per_second'] or 0:.1f} examples/s, "
            f"{clock(seconds['total'])} in all" + (f", first step after {first:.1f} s" if first else "")
        )
        proof = outcome["proof"]
        print(
            f"model: {folder.model} (read back; largest logit difference "
            f"{proof['largest_logit_difference']:g} on {proof['rows']} rows)"
        )
    print_warnings(outcome)


def print_onward(onward: Mapping[str, Any]) -> None:
    """What became of the test split of the run that was gone on from."""
    test, metric = onward.get("test") or {}, str(onward.get("metric"))
    if test.get("after") is None:
        return
    figures_of = {when: (test.get(when) or {}).get(metric) for when in ("recorded", "before", "after")}
    told = ", ".join(f"{written(value)} {when}" for when, value in figures_of.items() if value is not None)
    lost = finite_number(onward.get("forgotten"))
    forgotten = "" if lost is None else f"; forgotten: {written(lost)}"
    print(one_line(f"test of run {onward['run']}: {metric} {told}{forgotten}"))


def print_lineage(lineage: list[dict[str, Any]]) -> None:
    """The runs that a run goes on from, the nearest first."""
    for number, run in enumerate(lineage):
        figure = "" if run.get("test") is None else f", test {run['metric']} {written(run['test'])}"
        steps = "" if run.get("steps") is None else f", {run['steps']:,} steps"
        begins = "begins with" if number == 0 else "which began with"
        print(one_line(f"{begins} run {run['run']} ({run['task']}{steps}{figure}; {run['path']})"))


def print_warnings(outcome: Mapping[str, Any]) -> None:
    """What makes the result doubtful."""
    for warning in outcome.get("warnings") or []:
        for line in flowing(f"warning: {warning}".split(" "), _width(), joint=" "):
            print(line)


def print_chosen(choice: Mapping[str, Any] | None) -> None:
    """Which step's weights count, by what, and its figures on the validation split."""
    if choice is None:
        return
    metric = one_line(choice["metric"])
    known = finite_number(choice["validation"].get(choice["metric"])) is not None
    why = f"the best by validation {metric}" if known else f"the newest: no validation {metric} is known"
    print_numbers(f"chosen: step {choice['step']} of {choice['steps']}, {why}", choice["validation"])


def print_numbers(about: str, metrics: Mapping[str, Any]) -> None:
    """The overall numbers in as few lines as they take."""
    for line in flowing([f"{about}:", *each_number(metrics)], _width(), joint="  "):
        print(line)


def print_metrics(before: dict[str, Any] | None, after: dict[str, Any]) -> None:
    """Two tables: the overall numbers, and precision, recall, F1, support of each class."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=_width())
    overall = Table("test", *(["before"] if before else []), "after", title_justify="left")
    later, earlier = figures(after), figures(before or {})
    for name in dict.fromkeys([*later, *earlier]):
        cells = [written(earlier.get(name))] if before else []
        overall.add_row(Text(one_line(name)), *cells, written(later.get(name)))
    overall.add_row("examples", *([_count(before.get("examples"))] if before else []), _count(after.get("examples")))
    console.print(overall)
    classes = Table()
    classes.add_column("class", overflow="fold")  # a name may go on below; a number is never cut
    for head in [*(["F1 before"] if before else []), *MEASURES.values(), "support"]:
        classes.add_column(head, no_wrap=True)
    rows, rows_before = _classes(after), _classes(before or {})
    for name, row in rows.items():
        cells = [written(rows_before.get(name, {}).get("f1"))] if before else []
        cells += [written(row.get(key)) for key in MEASURES]
        classes.add_row(Text(one_line(name)), *cells, _count(row.get("support")))
    if rows:
        console.print(classes)
    print_texts(after)


def print_texts(metrics: Mapping[str, Any]) -> None:
    """Some of the texts that were written, below what they answer and beside what should have been written."""
    texts = metrics.get("texts")
    for text in texts[:TEXTS] if isinstance(texts, list) else []:
        print()
        for name, called in (("prompt", "prompt"), ("reference", "reference"), ("text", "written")):
            if name in text:
                print(f"{called:>9}  {one_line(str(text[name]))}")


def _classes(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of classes that can be shown; a task of the user's own may have others, or none."""
    rows = metrics.get("classes")
    return {name: row for name, row in rows.items() if isinstance(row, dict)} if isinstance(rows, dict) else {}


def _count(value: Any) -> str:
    number = finite_number(value)
    return WITHOUT_VALUE if number is None else f"{number:,.0f}"


def _width() -> int:
    return terminal_width() or WIDTH_OF_A_FILE
