"""`launcher evaluate` and `launcher predict`: asking a finished run's model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from launcher import rundir
from launcher.attempts import heavy
from launcher.cli.display import print_json
from launcher.cli.result import print_chosen, print_metrics
from launcher.cli.summary import summary
from launcher.errors import DataError, LauncherError, Problem
from launcher.lines import json_line, one_line


def show_evaluation(run: str, runs: Path, data: Path | None, as_json: bool) -> None:
    """Print metrics on the test split or on a file."""
    folder = rundir.find(run, runs)
    request = {"run": str(folder.path), "data": None if data is None else str(data.resolve())}
    metrics = heavy("evaluate", request)
    if as_json:
        print_json(metrics)
    else:
        print_chosen(summary(folder).choice())
        print_metrics(None, metrics)


def show_predictions(
    run: str, runs: Path, texts: list[str], file: Path | None, output: Path | None, as_json: bool
) -> None:
    """Print one answer a text, or write JSON lines."""
    if bool(texts) == (file is not None):
        raise LauncherError(Problem("give texts, or --file, but not both", do='launcher predict RUN "a text"'))
    folder = rundir.find(run, runs)
    request: dict[str, Any] = {"run": str(folder.path), "texts": texts}
    if file is not None:
        request["file"] = str(file)
    told = heavy("predict", request)
    cut = sum(row["answer"].get("truncated", False) for row in told)
    if cut:
        what = "1 text is" if cut == 1 else f"{cut:,} texts are"
        print(f"{what} longer than the model takes: the end was not looked at", file=sys.stderr)
    lines = [json_line({**_asked(row["text"]), **row["answer"]}) for row in told]
    if output is not None:
        try:
            output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except OSError as error:
            raise DataError(Problem(f"the answers cannot be written: {error}", str(output))) from None
        print(f"{len(lines)} answers in {output}", file=sys.stderr)
        if as_json:
            print_json({"answers": len(lines), "file": str(output.resolve())})
    elif as_json:
        print_json([json.loads(line) for line in lines])
    else:
        for row in told:
            _print_answer(row["text"], row["answer"])


def _asked(text: str | list[str]) -> dict[str, str]:
    return {"text": text} if isinstance(text, str) else dict(zip(("text", "text_pair"), text, strict=True))


def _print_answer(asked: str | list[str], answer: dict[str, Any]) -> None:
    text = "\t".join(map(one_line, _asked(asked).values()))
    if "label" in answer:
        print(f"{one_line(answer['label'])}\t{answer['probability']:.4f}\t{text}")
        return
    if "labels" in answer:
        told = ", ".join(f"{one_line(label)} {answer['probabilities'][label]:.4f}" for label in answer["labels"])
        print(f"{told or '-'}\t{text}")
        return
    found = answer["entities"]
    told = "  ".join(f"{e['entity']}[{e['start']}:{e['end']}] {e['text']} ({e['probability']:.2f})" for e in found)
    print(f"{text}\n  {one_line(told) or 'no entities'}")
