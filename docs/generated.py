"""What the documentation site takes from the code when it is built: every verb's help, every noun's fields.

mkdocs calls `on_page_markdown` for each page; a line `<!-- generated: cli -->` or `<!-- generated: nouns -->` gives way
to the text that is made here, so no generated page lies in the repository and none can be out of date.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import launcher
from launcher.recipe.reference import reference

HERE = Path(__file__).parent


def on_config(config: Any) -> Any:
    """The decision records into the navigation, in their order."""
    records = sorted(path.relative_to(HERE).as_posix() for path in (HERE / "decisions").glob("*.md"))
    config.nav = [*config.nav, {"Decisions": records}]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with what its markers stand for."""
    for name, make in {"cli": cli, "nouns": nouns}.items():
        marker = f"<!-- generated: {name} -->"
        if marker in markdown:
            markdown = markdown.replace(marker, "\n".join(make()))
    return markdown


def cli() -> Iterator[str]:
    """A section a verb: the help text as a terminal of 100 columns shows it."""
    os.environ["COLUMNS"] = "100"
    import typer

    from launcher.cli.app import app

    yield from _verb(typer.main.get_command(app), None, "launcher")


def _verb(command: Any, parent: Any, name: str) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=100)
    yield from (
        f"## `{name}`" if parent is None else f"### `{name}`",
        "",
        "```text",
        command.get_help(context),
        "```",
        "",
    )
    for verb in getattr(command, "commands", {}).values():
        if not verb.hidden:
            yield from _verb(verb, context, f"{name} {verb.name}")


def nouns() -> Iterator[str]:
    """A section a noun: what `launcher help NOUN` says of it."""
    for name in launcher.__all__:
        noun = getattr(launcher, name)
        if dataclasses.is_dataclass(noun):
            yield from (f"## `{name}`", "", "```text", reference(noun), "```", "")
