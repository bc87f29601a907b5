"""The verbs that ask a finished run's model: `launcher evaluate` and `launcher predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli.options import Json, RunName, Runs, examples


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    app.command(epilog=examples("launcher evaluate a --data more_reviews.tsv --json"))(evaluate)
    app.command(
        epilog=examples(
            'launcher predict a "房间很干净，服务也好"',
            "launcher predict a --file reviews.csv --text review --top 3 --output out.jsonl",
            "cut -f 2 reviews.tsv | launcher predict a --file -",
            'launcher predict answers "Who wrote it?" "It was written by Ada." --top 3',
        )
    )(predict)


def evaluate(
    run: RunName,
    data: Annotated[Path | None, typer.Option(help="A file of the recipe's kind; default its test split.")] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Print the metrics of a finished run's model."""
    from launcher.cli.predict import show_evaluation

    show_evaluation(run, runs, data, as_json)


def predict(
    run: RunName,
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts.")] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A table (CSV, TSV, JSON, Parquet) or a text a line; - is stdin.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="Its texts; default the recipe's column.")] = None,
    text_pair: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The second texts of pairs; the contexts of questions.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Show the K most probable labels or answers.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write there: CSV if it ends in .csv, else JSON lines.")] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Ask a finished run's model about texts.

    It answers with labels, entities, numbers, or with what answers a question in a text. The answers keep all columns
    of the file.
    """
    from launcher.cli.predict import Question, show_predictions

    question = Question(texts or [], file, text, text_pair, top)
    show_predictions(run, runs, question, output, as_json)
