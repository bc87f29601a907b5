"""From a request to a run: gates, plan, run folder and its first attempt (`launch.supervisor` has the rest).

Both `launcher run` and ranks started by hand come through here. Light: what needs torch runs in child processes.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher import secret
from launcher.child import heavy as heavy
from launcher.cluster import job_status
from launcher.errors import BackendError, DataError, LauncherError, PlanError, Problem, RecipeError
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.launch import onward, tracking
from launcher.launch.opening import name_taken, refuse_finished
from launcher.launch.opening import open_folder as open_folder
from launcher.launch.opening import write_folder as write_folder
from launcher.launch.request import Request as Request
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.plan.plan import Plan
from launcher.plan.rules import judge
from launcher.recipe.recipe import LoadedRecipe, customs, digest, document, given, load, read, shown, walk
from launcher.runs import driver, run_folder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder


def gates(request: Request) -> LoadedRecipe:
    """Gates 1 and 2. Raises RecipeError or PlanError with all problems of the gate."""
    loaded = recipe_of(request)
    problems = judge(loaded, request.facts or machine_facts.facts(), request.placement)
    if loaded.problems:
        raise RecipeError([*loaded.problems, *problems])
    if request.name is not None:
        run_folder.check_name(request.name)
    problems += _secrets(loaded)
    problems += tracking.problems(request.trackers, loaded.path.resolve().parent)
    if problems:
        raise PlanError(problems)
    return loaded


def _secrets(loaded: LoadedRecipe) -> Iterator[Problem]:
    """Secrets that would be stored in the run's folder, where others may read them."""
    do = "leave it to the environment (HF_TOKEN), or log in once: `hf auth login`"
    texts = {str(loaded.path): loaded.source} | {c.file: str(c.source) for c in customs(loaded.recipe).values()}
    for file, text in texts.items():
        for number in secret.lines_with(text):
            what = "this line holds a password or a token, and a copy of the file is kept in the run's folder"
            yield Problem(what, f"{file}:{number}", do)
    for key, value in loaded.overrides.items():
        if any(secret.lines_with(value)):
            yield Problem("the value is a password or a token, and is kept in the run's folder", f"--set {key}", do)


def recipe_of(request: Request) -> LoadedRecipe:
    """The recipe that the request names or brings, with its problems. Raises RecipeError where there is none."""

    def again(overrides: dict[str, str]) -> LoadedRecipe:
        if request.given is not None:
            return given(request.given, request.recipe, overrides)
        return read(request.recipe, overrides)

    return onward.with_what_follows(again(dict(request.overrides)), again)


def prepare(loaded: LoadedRecipe, **more: Any) -> dict[str, Any]:
    """Have the data prepared; the facts about it. Raises DataError for data that cannot be used."""
    try:
        prepared: dict[str, Any] = heavy("prepare", {"recipe": document(loaded.recipe), **more})
    except LauncherError as error:
        raise loaded.placed(error) from None
    if not prepared["rows"]["train"]:
        raise DataError(Problem("the training split has no rows", loaded.where("data.train")))
    return prepared


def make_plan(request: Request, loaded: LoadedRecipe, prepared: dict[str, Any] | None = None) -> Plan:
    """The plan, from `prepared` data; without it the data is prepared now. Raises as `prepare` does."""
    prepared, facts = prepared or prepare(loaded), request.facts or machine_facts.facts()
    if planning.wants_model_facts(loaded, facts, request.placement, prepared):
        prepared |= model_facts(loaded, prepared)
    look_again(loaded, facts, request.placement, prepared)
    plan = planning.make(loaded, facts, request.placement, prepared, machine_facts.versions())
    onward.refuse_nothing_left(loaded, plan)
    return plan


def look_again(loaded: LoadedRecipe, facts: Facts, placement: Placement, prepared: dict[str, Any]) -> None:
    """Add to `prepared` the memory of the model with recomputed activations, where only that may fit."""
    if planning.wants_recomputed_facts(loaded, facts, placement, prepared):
        again = replace(loaded.recipe, training=replace(loaded.recipe.training, recompute=True))
        prepared["recomputed"] = model_facts(replace(loaded, recipe=again), prepared)["model"]


def model_facts(loaded: LoadedRecipe, prepared: dict[str, Any]) -> dict[str, Any]:
    """`model`: what memory is predicted from (`launcher.plan.model_facts`), or `unknown`: why it cannot be.

    No weights are loaded.
    """
    try:
        facts: dict[str, Any] = heavy("facts", {"recipe": document(loaded.recipe), "prepared": prepared})
    except PlanError as error:  # the method names what the model does not have
        where = loaded.where("peft")
        raise PlanError(replace(problem, where=problem.where or where) for problem in error.problems) from None
    return {"model": None, **facts} if "unknown" in facts else {"model": facts}


def find_folder(request: Request, loaded: LoadedRecipe) -> RunFolder:
    """The folder this request means; creates nothing. Raises BackendError when its name is taken or missing."""
    runs = request.runs
    if request.resume:
        folder = _folder_to_resume(request, loaded)
        driver.refuse_driven(folder)
        job_status.refuse_queued(folder)
        stored = read_json(folder.recipe)
        if stored and stored["digest"] != digest(loaded.recipe):
            raise BackendError(
                Problem(
                    f"run {folder.name} was made from other values than the recipe has now: "
                    + ", ".join(_differences(stored, loaded)),
                    str(folder.recipe),
                    "put them back (also with --set), or start a new run",
                )
            )
        return folder
    folder = RunFolder((runs / (request.name or _free_name(runs, loaded))).resolve())
    if folder.path.exists():
        if not request.overwrite:
            raise name_taken(folder)
        onward.refuse_replaced(loaded, folder)
    driver.refuse_driven(folder)
    job_status.refuse_queued(folder)
    if folder.path.exists() and not run_folder.is_run(folder):
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
    """The text with what cannot be part of a run's name replaced by '-'."""
    plain = re.sub(r"[^\w.]+", "-", text).strip("-._")
    return plain.encode()[:60].decode(errors="ignore")


def _folder_to_resume(request: Request, loaded: LoadedRecipe) -> RunFolder:
    if request.name is not None:
        folder = run_folder.find(request.name, request.runs)
    else:
        mine = [folder for folder in run_folder.all_runs(request.runs) if _recipe_of(folder) == loaded.path.resolve()]
        if not mine:
            raise BackendError(
                Problem(f"no run of {loaded.path} to resume", str(request.runs.resolve()), "give its --name")
            )
        folder = mine[-1]
    refuse_finished(folder)
    return folder


def _recipe_of(folder: RunFolder) -> Path | None:
    """The recipe that a run was made from; None where its plan is damaged: that run is skipped."""
    try:
        return Path((read_json(folder.plan) or {}).get("recipe", ""))
    except BackendError:
        return None


def _differences(stored: dict[str, Any], loaded: LoadedRecipe) -> list[str]:
    now = {dotted: value for dotted, value, _ in walk(loaded.recipe)}
    then = {dotted: about["value"] for dotted, about in stored["values"].items()}
    changed = [
        f"{dotted} is {shown(dotted, value)}, was {shown(dotted, then.get(dotted))}"
        for dotted, value in now.items()
        if json.loads(json.dumps(value)) != then.get(dotted)
    ]
    return changed or ["another kind of task, source or method"]


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
