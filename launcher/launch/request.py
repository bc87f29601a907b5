"""A user's request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.host.facts import Facts
from launcher.plan.placement import Placement
from launcher.recipe.recipe import Recipe
from launcher.recipe.tracker import CustomTracker


@dataclass(frozen=True)
class Request:
    """What a user asked for: which recipe, with which overrides, where, under which name."""

    recipe: Path
    overrides: Mapping[str, str] = field(default_factory=dict)
    placement: Placement = field(default_factory=Placement)
    name: str | None = None
    runs: Path = Path("runs")
    resume: bool = False
    overwrite: bool = False
    facts: Facts | None = None
    """What each machine of the run has; None means this one."""
    trackers: tuple[str | CustomTracker, ...] = ()
    """Whom the run reports to besides TensorBoard: names of services, paths of files, CustomTracker."""
    given: Recipe | None = None
    """The recipe itself, where Python code made it; `recipe` is then that code's file."""
