"""From a request to a run: the gates, the plan, the run folder and its first attempt (`launcher.driving` has the rest).

`launcher run` and ranks started by hand come through here alike. Light: what computes runs in children.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launcher import plan as planning
from launcher import queueing, rundir
from launcher.backends import local
from launcher.child import heavy as heavy
from launcher.driving import unwritten
from launcher.errors import BackendError, DataError, PlanError, Problem, RecipeError
from launcher.plan import Plan
from launcher.recipe import LoadedRecipe, Recipe, customs, digest, document, given, load, shown, walk
from launcher.rules import judge
from launcher.rundir import AttemptFolder, RunFolder, read_json, write_json
from launcher.seals import differing
from launcher.spec.placement import Facts, Placement


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
    """What each machine has that the run is meant for; None means this one."""
    given: Recipe | None = None
    """The recipe itself, where Python code made it; `recipe` is then where that code stands."""


def gates(request: Request) -> LoadedRecipe:
    """Gates 1 and 2. Raises RecipeError or PlanError with all problems of the gate."""
    loaded = asked(request)
    problems = judge(loaded, request.facts or local.facts(), request.placement)
    if request.name is not None:
        rundir.check_name(request.name)
    if problems:
        raise PlanError(problems)
    return loaded


def asked(request: Request) -> LoadedRecipe:
    """The recipe that the request names or brings. Raises RecipeError with all that is wrong with it."""
    if request.given is not None:
        return given(request.given, request.recipe, dict(request.overrides))
    return load(request.recipe, dict(request.overrides))


def prepare(loaded: LoadedRecipe, **more: Any) -> dict[str, Any]:
    """Have the data prepared; what was found in it. Raises DataError for data that cannot be used."""
    prepared: dict[str, Any] = heavy("prepare", {"recipe": document(loaded.recipe), **more})
    if not prepared["rows"]["train"]:
        raise DataError(Problem("the training split has no rows", loaded.where("data.train")))
    return prepared


def make_plan(request: Request, loaded: LoadedRecipe, prepared: dict[str, Any] | None = None) -> Plan:
    """The plan, from data that is `prepared` now unless it was before. Raises as `prepare` does."""
    prepared, facts = prepared or prepare(loaded), request.facts or local.facts()
    if planning.wants_model_facts(loaded, facts, request.placement, prepared):
        prepared["model"] = model_facts(loaded, prepared)
    look_again(loaded, facts, request.placement, prepared)
    return planning.make(loaded, facts, request.placement, prepared, local.versions())


def look_again(loaded: LoadedRecipe, facts: Facts, placement: Placement, prepared: dict[str, Any]) -> None:
    """Add to `prepared` what the model takes as it recomputes its activations, where only that may fit."""
    if planning.wants_recomputed_facts(loaded, facts, placement, prepared):
        again = replace(loaded.recipe, training=replace(loaded.recipe.training, recompute=True))
        prepared["recomputed"] = model_facts(replace(loaded, recipe=again), prepared)


def model_facts(loaded: LoadedRecipe, prepared: dict[str, Any]) -> dict[str, Any]:
    """What memory is predicted from (`launcher.memory_facts`); nothing of the weights is loaded."""
    try:
        told: dict[str, Any] = heavy("facts", {"recipe": document(loaded.recipe), "prepared": prepared})
    except PlanError as error:  # the method names what the model does not have
        where = loaded.where("peft")
        raise PlanError(replace(problem, where=problem.where or where) for problem in error.problems) from None
    return told


def find_folder(request: Request, loaded: LoadedRecipe) -> RunFolder:
    """The folder this request means; creates nothing. Raises BackendError when its name is taken or missing."""
    runs = request.runs
    if request.resume:
        folder = _folder_to_resume(request, loaded)
        rundir.refuse_driven(folder)
        queueing.refuse_queued(folder)
        told = read_json(folder.recipe)
        if told and told["digest"] != digest(loaded.recipe):
            raise BackendError(
                Problem(
                    f"run {folder.name} was made from other values than the recipe has now: "
                    + ", ".join(_differences(told, loaded)),
                    str(folder.recipe),
                    "put them back (also with --set), or start a new run",
                )
            )
        return folder
    folder = RunFolder((runs / (request.name or _free_name(runs, loaded))).resolve())
    if folder.path.exists() and not request.overwrite:
        raise _taken(folder)
    rundir.refuse_driven(folder)
    queueing.refuse_queued(folder)
    if folder.path.exists() and not rundir.is_run(folder):
        raise BackendError(
            Problem("what is there is not a run and is not replaced", str(folder.path), "choose another --name")
        )
    return folder


def _free_name(runs: Path, loaded: LoadedRecipe) -> str:
    """RECIPE-timestamp, with a number behind where a script starts several within a second."""
    name = f"{plain_name(loaded.name) or 'run'}-{time.strftime('%Y%m%d-%H%M%S')}"
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return name if not (runs / name).exists() else next(one for one in numbered if not (runs / one).exists())


def plain_name(text: str) -> str:
    """What of this text can be a part of a run's name."""
    plain = re.sub(r"[^\w.]+", "-", text).strip("-._")
    return plain.encode()[:60].decode(errors="ignore")


def _taken(folder: RunFolder) -> BackendError:
    what = f"there is a run {folder.name!r} already ({rundir.status_of(folder)})"
    do = "choose another --name, go on with it by --resume, or replace it by --overwrite"
    return BackendError(Problem(what, str(folder.path), do))


def _folder_to_resume(request: Request, loaded: LoadedRecipe) -> RunFolder:
    if request.name is not None:
        folder = rundir.find(request.name, request.runs)
    else:
        mine = [
            folder
            for folder in rundir.all_runs(request.runs)
            if Path(read_json(folder.plan)["recipe"]) == loaded.path.resolve()
        ]
        if not mine:
            raise BackendError(
                Problem(f"no run of {loaded.path} to resume", str(request.runs.resolve()), "give its --name")
            )
        folder = mine[-1]
    if rundir.status_of(folder) == "finished":
        raise BackendError(
            Problem(f"run {folder.name} is finished", str(folder.path), "there is nothing left to resume")
        )
    return folder


def _differences(told: dict[str, Any], loaded: LoadedRecipe) -> list[str]:
    now = {dotted: value for dotted, value, _ in walk(loaded.recipe)}
    then = {dotted: about["value"] for dotted, about in told["values"].items()}
    changed = [
        f"{dotted} is {shown(dotted, value)}, was {shown(dotted, then.get(dotted))}"
        for dotted, value in now.items()
        if json.loads(json.dumps(value)) != then.get(dotted)
    ]
    return changed or ["another kind of task, source or method"]


def open_folder(folder: RunFolder, request: Request, loaded: LoadedRecipe, plan: Plan) -> AttemptFolder:
    """Create the run folder (or go on with it), take its lease, and write down what was promised."""
    if request.resume:
        _refuse_other_data(folder, plan)
    _make_folder(folder, request)
    try:
        rundir.take_lease(folder)
        _write_promises(folder, loaded, plan)
        return folder.new_attempt()
    except OSError as error:
        rundir.drop_lease(folder)
        raise BackendError(unwritten(error, folder.path)) from None


def _refuse_other_data(folder: RunFolder, plan: Plan) -> None:
    """Its steps, its order of rows, its labels and its words would be others under the same weights."""
    told = read_json(folder.plan) or {}
    changed = "the data" if told.get("data", plan.data) != plan.data else differing(told.get("base", {}), plan.base)
    if changed:
        what = f"{changed} has changed since run {folder.name} began"
        raise BackendError(Problem(what, str(folder.plan), "put the files back as they were, or start a new run"))


def write_folder(folder: RunFolder, request: Request, loaded: LoadedRecipe, plan: Plan) -> None:
    """Create the run folder with its promises for whoever will drive the run: another process, perhaps elsewhere."""
    _make_folder(folder, request)
    try:
        _write_promises(folder, loaded, plan)
    except OSError as error:
        raise BackendError(unwritten(error, folder.path)) from None


def _make_folder(folder: RunFolder, request: Request) -> None:
    if request.overwrite and folder.path.exists():
        rundir.refuse_driven(folder)
        rundir.remove(folder)
    try:
        folder.path.mkdir(parents=True, exist_ok=request.resume)
    except FileExistsError:  # another launcher was there between the look and now
        raise _taken(folder) from None
    except OSError as error:
        raise BackendError(unwritten(error, folder.path)) from None


def planned_recipe(run: RunFolder, plan: Plan) -> LoadedRecipe:
    """Gate 3: the recipe as this process imports it, which must be the one that the plan was made from.

    The user's file may have been edited since, for the next experiment, while this run waited in a queue or was put
    back: then the copy in the run's folder is imported. Raises RecipeError where that is another one as well.
    """
    do = "start a new run, or put the recipe back as it was (the run folder holds a copy)"
    refusal = RecipeError(Problem("the recipe has changed since the run was planned", plan.recipe, do))
    for path in (Path(plan.recipe), run.source) if plan.recipe else (run.source,):
        try:
            loaded = load(path, plan.overrides)
        except RecipeError as error:
            refusal = refusal if path == run.source else error  # a copy lacks the modules beside the file
            continue
        if digest(loaded.recipe) == plan.digest:
            return loaded
    raise refusal


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
