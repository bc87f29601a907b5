"""What the open members of the unions share: a Python file of the user's own beside the recipe."""

from __future__ import annotations

from pydantic import Field, JsonValue

from launcher.recipe.noun import noun


@noun
class Custom:
    """A file with the one function that its family calls (see `launcher/recipe/user_file_check.py`)."""

    file: str
    """Path of the file, from the recipe's folder; at or below it."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the function."""
    source: str | None = None
    """The file's text; filled from the file, so that a run and its model keep the code that made them."""
