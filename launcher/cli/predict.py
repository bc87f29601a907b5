"""`launcher evaluate` and `launcher predict`: using a finished run's model."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.child import heavy
from launcher.cli.display import print_json
from launcher.cli.result import print_chosen, print_metrics
from launcher.cli.summary import summary
from launcher.errors import DataError, LauncherError, Problem
from launcher.model import ABOUT, model_folder
from launcher.printing import json_line
from launcher.recipe.generation_rules import with_settings
from launcher.recipe.recipe import from_document
from launcher.runs import run_folder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

STDIN = "-"


@dataclass(frozen=True)
class Question:
    """What the model is to answer: texts, or a file and which of its columns hold them."""

    texts: Sequence[str] = ()
    file: str | None = None
    text: str | None = None
    text_pair: str | None = None
    top: int | None = None
    pairs: bool = False
    """Whether texts belong together in twos, where the model answers to either."""
    sets: Mapping[str, str] = field(default_factory=dict)
    """How a model that writes is to write."""


def show_evaluation(run: str, runs: Path, data: Path | None, sets: Mapping[str, str], as_json: bool) -> None:
    """Print metrics on the test split or on a file."""
    folder = model_folder(run, runs)
    check_settings(folder, sets)
    file = None if data is None else str(data.resolve())
    metrics = heavy("evaluate", {"model": str(folder), "data": file, "set": dict(sets)})
    if as_json:
        print_json(metrics)
        return
    of_run = RunFolder(folder.parent)
    if run_folder.is_run(of_run):
        print_chosen(summary(of_run).choice())
    print_metrics(None, metrics)


def check_settings(folder: Path, sets: Mapping[str, str]) -> None:
    """Raise RecipeError, before anything heavy starts, where the model cannot write with these settings."""
    if sets:
        with_settings(from_document(read_json(folder / ABOUT)["recipe"]), sets)


def show_predictions(run: str, runs: Path, question: Question, output: Path | None, as_json: bool) -> None:
    """Print one answer a text, or write JSON lines or CSV."""
    _refuse_half_questions(question)
    folder = model_folder(run, runs)
    check_settings(folder, question.sets)
    request = {"model": str(folder), "texts": list(question.texts), "top": question.top, "set": dict(question.sets)}
    request |= {"text": question.text, "text_pair": question.text_pair, "pairs": question.pairs}
    request["printed"] = output is None and not as_json
    if question.file is not None:
        with _file_of(question.file) as (path, name):
            answers = heavy("predict", {**request, "file": path, "name": name})
    else:
        answers = heavy("predict", request)
    cut = sum(row["answer"].get("truncated", False) for row in answers)
    if cut:
        what = "1 text is" if cut == 1 else f"{cut:,} texts are"
        print(f"{what} longer than the model takes: the {answers[0]['cut_off']} was not looked at", file=sys.stderr)
    if output is None and not as_json:
        for row in answers:
            print(row["printed"])
        return
    rows = list(_beside_each_other(answers, question.file is not None))
    if output is None:
        print_json(rows)
        return
    try:
        output.write_text(_as_csv(rows) if output.suffix.lower() == ".csv" else _as_lines(rows), encoding="utf-8")
    except OSError as error:
        raise DataError(Problem(f"the answers cannot be written: {error}", str(output))) from None
    print(f"{len(rows)} answers in {output}", file=sys.stderr)
    if as_json:
        print_json({"answers": len(rows), "file": str(output.resolve())})


def _refuse_half_questions(question: Question) -> None:
    if bool(question.texts) == (question.file is not None):
        raise LauncherError(Problem("give texts, or --file, but not both", do='launcher predict RUN "a text"'))
    if question.file is None and (question.text or question.text_pair):
        raise LauncherError(Problem("--text names a column, and there is no file", do="give --file too"))


@contextlib.contextmanager
def _file_of(given: str) -> Iterator[tuple[str, str]]:
    """A path, and what to call it where it has no name: standard input lies in a file as long as it is read."""
    if given != STDIN:
        yield given, ""
        return
    with tempfile.NamedTemporaryFile(prefix="launcher-") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield kept.name, "standard input"


def _beside_each_other(answers: Sequence[Mapping[str, Any]], of_file: bool) -> Iterator[dict[str, Any]]:
    """Each row followed by its answer; if a column's name is taken, the answer's is `predicted_NAME`, which is told of
    a file's columns.
    """
    names = {name for row in answers for name in row["row"]}
    taken = sorted({name for row in answers for name in row["answer"] if name in names})
    if taken and of_file:
        shown = ", ".join(f"{name!r} in 'predicted_{name}'" for name in taken)
        print(f"the file has columns of these names already, so answers stand elsewhere: {shown}", file=sys.stderr)
    for row in answers:
        answer = {f"predicted_{name}" if name in taken else name: value for name, value in row["answer"].items()}
        yield {**row["row"], **answer}


def _as_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json_line(row)}\n" for row in rows)


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lists and what else has parts as JSON in a cell."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        cells = (row.get(name, "") for name in names)
        writer.writerow(json.dumps(c, ensure_ascii=False) if isinstance(c, dict | list) else c for c in cells)
    return text.getvalue()
