"""The verb that lists the shipped recipes, and the one that copies one: their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli import completion
from launcher.cli.options import Json, examples


def recipes(context: typer.Context, as_json: Json = False) -> None:
    """List the shipped recipes (or `copy NAME` one to start from)."""
    if context.invoked_subcommand is None:
        from launcher.cli.show import list_recipes

        list_recipes(as_json)


def recipes_copy(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of a shipped recipe.", autocompletion=completion.shipped_recipes),
    ],
    to: Annotated[Path | None, typer.Option(help="File to write; default NAME.py here.")] = None,
) -> None:
    """Copy a shipped recipe to start from."""
    from launcher.cli.show import copy_recipe

    copy_recipe(name, to)


def add_to(app: typer.Typer) -> None:
    """Make them verbs of the command."""
    group = typer.Typer(
        help="List the shipped recipes, or copy one to start from.", rich_markup_mode=None, invoke_without_command=True
    )
    group.callback()(recipes)
    group.command("copy", epilog=examples("launcher recipes copy reviews_zh --to mine.py"))(recipes_copy)
    app.add_typer(group, name="recipes")
