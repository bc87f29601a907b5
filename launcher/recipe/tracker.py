"""Whom a run reports to besides TensorBoard. No part of a recipe: what is trained does not hang on who is told."""

from __future__ import annotations

from typing import Literal

from launcher.recipe.noun import noun
from launcher.recipe.user_file import Custom


@noun
class CustomTracker(Custom):
    """A tracker of your own: `track(event, **options)` in `file` is called for each event of a run, in order.

    `launcher.run(recipe, trackers=[CustomTracker(file="to_chat.py")])`, or `--tracker to_chat.py`. It runs in a process
    of its own: what it waits for or breaks on does not touch the run.
    """

    kind: Literal["CustomTracker"] = "CustomTracker"
