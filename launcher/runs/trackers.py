"""Whom a run reports to besides TensorBoard, as its folder keeps it: `trackers.json`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launcher.recipe.tracker import CustomTracker
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


def kept(folder: RunFolder) -> list[dict[str, Any]]:
    """`{"name": "wandb"}`, or `{"name", "file", "options", "source"}` of a user's own file."""
    return list((read_json(folder.trackers) or {}).get("trackers", []))


def custom_of(document: dict[str, Any]) -> CustomTracker | None:
    """The user's own tracker of such a document; None for a service."""
    if "file" not in document:
        return None
    return replace(CustomTracker(file=document["file"], options=document["options"]), source=document["source"])
