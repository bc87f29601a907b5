"""A finished run that another one begins with: what its folder says of it, in JSON alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, LauncherError, Problem
from launcher.model import ABOUT, model_folder
from launcher.recipe.metrics import finite_number
from launcher.recipe.recipe import Recipe, from_document
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.runs.seals import Damaged, read_document

FORMAT = 2
"""Of launcher.json, as this version writes it."""

WHOLE = ("model.safetensors", "model.safetensors.index.json")
"""What transformers calls the weights of a whole model, in one file or in several."""


@dataclass(frozen=True)
class Ancestor:
    """A run's proven model, or such a model's folder that was copied elsewhere."""

    said: str
    """As the recipe names it."""
    model: Path
    about: dict[str, Any]
    """Its launcher.json."""

    @cached_property
    def recipe(self) -> Recipe:
        """What it was trained by."""
        return from_document(self.about["recipe"])

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the model's outputs."""
        return tuple(map(str, self.about["labels"]))

    @property
    def whole(self) -> bool:
        """Whether the folder holds a whole model, and not what was trained beside a base."""
        return any((self.model / name).is_file() for name in WHOLE)

    @property
    def run(self) -> RunFolder | None:
        """Its run; None of a folder that was copied out of one."""
        folder = RunFolder(self.model.parent)
        return folder if folder.plan.is_file() else None

    @property
    def name(self) -> str:
        """What to call it."""
        return self.run.name if self.run else self.model.name

    @cached_property
    def outcome(self) -> dict[str, Any]:
        """How the run ended; empty of a copied folder."""
        return (read_json(self.run.outcome) or {}) if self.run else {}

    def lineage(self) -> list[dict[str, Any]]:
        """This run, the one that it began with itself, and so on: name, path, task, steps, data, test metric, seal."""
        metric = str(self.recipe.training.select_by)
        test = ((self.outcome.get("metrics") or {}).get("test") or {}).get(metric)
        seal = self.model / "seal.json"
        own = {
            "run": self.name,
            "path": str(self.model.parent if self.run else self.model),
            "task": self.recipe.task.kind,
            "steps": self.outcome.get("steps"),
            "data": self.about.get("data"),
            "metric": metric,
            "test": finite_number(test),
            "seal": read_document(seal).get("seal") if seal.is_file() else None,
        }
        return [own, *(self.outcome.get("lineage") or [])]


def ancestor(run: str) -> Ancestor:
    """The run of that name below `runs/`, or at that path. Raises BackendError where it is none that can be begun with.

    The seal of its model is looked at where it is read.
    """
    model = model_folder(run)
    try:
        about = read_document(model / ABOUT)
        refuse_newer(about, model)
        made = Ancestor(run, model, about)
        made.recipe, made.labels  # noqa: B018 (both are read now, where a fault is told)
    except Damaged as error:
        do = "put back the files as they were saved, from a copy that is whole; else train the model again"
        raise BackendError(Problem(f"the saved model is damaged: {error}", str(model), do)) from None
    except BackendError:
        raise
    except (LauncherError, KeyError, TypeError) as error:
        what = f"the model of run {run} was saved by another version of the launcher: {_first(error)}"
        raise BackendError(Problem(what, str(model), "use that version, or train the run again")) from None
    return made


def refuse_newer(about: Mapping[str, Any], model: Path) -> None:
    """Raise BackendError for a model's launcher.json of a format that came after ours."""
    if isinstance(number := about.get("format"), int) and number > FORMAT:
        what = f"the model was saved by a newer version of the launcher (format {number})"
        raise BackendError(Problem(what, str(model), "use that version, or a newer one"))


def _first(error: Exception) -> str:
    return error.problems[0].what if isinstance(error, LauncherError) else f"{ABOUT} lacks {error}"
