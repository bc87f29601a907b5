"""The verb that shows a recipe's data: its options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli.options import Json, RecipePath, Sets, examples
from launcher.cli.overrides import parse_sets


def data(
    recipe: RecipePath,
    rows: Annotated[int, typer.Option(min=0, help="Examples of each split.")] = 2,
    png: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw labels, lengths and examples there.")] = None,
    set_: Sets = None,
    as_json: Json = False,
) -> None:
    """Show what a recipe's data holds, token by token.

    Its rows are shown as the model will see them.
    """
    from launcher.cli.data_view import show_data

    show_data(recipe, parse_sets(set_), rows, png, as_json)


def add_to(app: typer.Typer) -> None:
    """Make it a verb of the command."""
    app.command(
        epilog=examples(
            "launcher data recipes/people_daily_ner_zh.py", "launcher data recipes/reviews_zh.py --rows 5 --png figures"
        )
    )(data)
