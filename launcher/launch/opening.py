"""Creating a run's folder, or opening it again: one process at a time, with what the plan promises written into it."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem, whose
from launcher.host import turns
from launcher.json_files import write_json
from launcher.launch import tracking
from launcher.launch.request import Request
from launcher.launch.supervisor import unwritten
from launcher.plan.plan import Plan
from launcher.recipe.recipe import LoadedRecipe, customs, document, walk
from launcher.runs import driver, run_folder
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.runs.seals import differing


def open_folder(folder: RunFolder, request: Request, loaded: LoadedRecipe, plan: Plan) -> AttemptFolder:
    """Create the run folder (or go on with it), take its lease, and write down what was promised.

    Of several processes that come here at once one gets it; the error of the others names who drives the run.
    """
    if request.resume:
        _refuse_other_data(folder, plan)
    with turns.taken(_with_parent(folder)):
        if request.resume:
            refuse_finished(folder)  # it may have ended since it was looked at
        _make_folder(folder, request)
        try:
            driver.take_lease(folder)
            _write_promises(folder, loaded, plan)
            tracking.note(folder, request.trackers, loaded.path.resolve().parent)
            return folder.new_attempt()
        except OSError as error:
            driver.drop_lease(folder)
            raise BackendError(unwritten(error, folder.path)) from None


def write_folder(folder: RunFolder, request: Request, loaded: LoadedRecipe, plan: Plan) -> None:
    """Create the run folder with its promises for the process that will drive the run, perhaps on another machine."""
    with turns.taken(_with_parent(folder)):
        _make_folder(folder, request)
        try:
            _write_promises(folder, loaded, plan)
            tracking.note(folder, request.trackers, loaded.path.resolve().parent)
        except OSError as error:
            raise BackendError(unwritten(error, folder.path)) from None


def _with_parent(folder: RunFolder) -> Path:
    """The run's path, in a folder that exists."""
    with contextlib.suppress(OSError):  # making the run's own folder reports what is wrong
        folder.path.parent.mkdir(parents=True, exist_ok=True)
    return folder.path


def _make_folder(folder: RunFolder, request: Request) -> None:
    if request.overwrite and folder.path.exists():
        driver.refuse_driven(folder)
        _remove(folder)
    try:
        folder.path.mkdir(parents=True, exist_ok=request.resume)
    except FileExistsError:  # another launcher was there between the look and now
        raise name_taken(folder) from None
    except OSError as error:
        raise BackendError(unwritten(error, folder.path)) from None


def _remove(folder: RunFolder) -> None:
    """Raises BackendError where it is another user's, or a disk refuses."""
    try:
        run_folder.remove(folder)
    except FileNotFoundError:
        pass  # making the new one shows who was faster
    except OSError as error:
        what = f"run {folder.name} cannot be replaced: {str(error.strerror).lower()}{whose(folder.path)}"
        raise BackendError(Problem(what, str(error.filename or folder.path), "choose another --name")) from None


def name_taken(folder: RunFolder) -> BackendError:
    """The error that there is such a run."""
    what = f"there is a run {folder.name!r} already ({driver.status_of(folder)})"
    do = "choose another --name, go on with it by --resume, or replace it by --overwrite"
    return BackendError(Problem(what, str(folder.path), do))


def refuse_finished(folder: RunFolder) -> None:
    """Raise BackendError where nothing is left to resume."""
    if driver.status_of(folder) == "finished":
        raise BackendError(
            Problem(f"run {folder.name} is finished", str(folder.path), "there is nothing left to resume")
        )


def _refuse_other_data(folder: RunFolder, plan: Plan) -> None:
    """Other data would change the steps, the order of rows, the labels and the vocabulary under the same weights."""
    then = read_json(folder.plan) or {}
    changed = "the data" if then.get("data", plan.data) != plan.data else differing(then.get("base", {}), plan.base)
    if changed:
        what = f"{changed} has changed since run {folder.name} began"
        raise BackendError(Problem(what, str(folder.plan), "put the files back as they were, or start a new run"))


def _write_promises(folder: RunFolder, loaded: LoadedRecipe, plan: Plan) -> None:
    folder.outcome.unlink(missing_ok=True)
    values = {
        dotted: {"value": value, "origin": loaded.origins.get(dotted, "default")}
        for dotted, value, _ in walk(loaded.recipe)
    }
    write_json(folder.recipe, {"digest": plan.digest, "recipe": document(loaded.recipe), "values": values})
    folder.source.write_text(loaded.source, encoding="utf-8")
    for custom in customs(loaded.recipe).values():
        copy = folder.source.parent / custom.file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(str(custom.source), encoding="utf-8")
    write_json(folder.plan, {**plan.document(), "git": _git(loaded.path.parent)})


def _git(folder: Path) -> dict[str, Any]:
    """The commit the recipe's folder is at and whether anything there is changed; empty outside git."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
        changes = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if commit.returncode != 0:
        return {}
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}
