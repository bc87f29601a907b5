"""`launcher submit`: a run as a job of the cluster, or several as one job array."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher import secret
from launcher.cli.display import print_json
from launcher.cluster import job_array, profile, schedulers
from launcher.errors import PlanError, Problem
from launcher.jobs import array_submission, submission
from launcher.jobs.array_submission import ArraySubmission
from launcher.jobs.submission import ClusterView, JobRequest, Submission
from launcher.launch import run_request
from launcher.launch.request import Request


@dataclass(frozen=True)
class Wanted:
    """The runs to submit: every recipe with every combination of values."""

    recipes: Sequence[Path]
    each: Mapping[str, Sequence[str]]
    array: bool
    at_once: int | None


def terms_for(
    profile_name: str | None,
    options: dict[str, Any],
    nodes: int | None,
    per_node: int | None,
    max_requeues: int,
    after: Sequence[str],
    runs: Path,
) -> JobRequest:
    """What is requested of the cluster: the profile, overridden by the command line."""
    chosen = submission.merged(profile.find(profile_name), options)
    return JobRequest(chosen, nodes, per_node, max_requeues, tuple(job_array.runs_named(after, runs)))


def submit_recipes(request: Request, wanted: Wanted, terms: JobRequest, dry_run: bool, as_json: bool) -> None:
    """Submit and say which jobs they became; with `dry_run` say what would be submitted."""
    several = len(wanted.recipes) > 1
    base = request.name or f"{'array' if several else wanted.recipes[0].stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    requests = array_submission.combinations(replace(request, name=base), wanted.recipes, wanted.each)
    if len(requests) > 1 and not wanted.array:
        do = "give --array to submit them as one job array"
        raise PlanError(Problem(f"{len(wanted.recipes)} recipes and these values are {len(requests)} runs", do=do))
    cluster = submission.survey(terms)
    if version := submission.gpus_in_vain(requests[0], cluster):
        print(f"torch {version} is a build without GPUs: the job asks for none", file=sys.stderr)
    if len(requests) > 1:
        _submit_array(array_submission.prepare(requests, base, terms, cluster, wanted.at_once), dry_run, as_json)
    else:
        _submit_one(requests[0], terms, cluster, dry_run, as_json)


def _submit_one(request: Request, terms: JobRequest, cluster: ClusterView, dry_run: bool, as_json: bool) -> None:
    made = submission.prepare(request, terms, cluster)
    if dry_run:
        preview = {"words": made.words(), "job": made.document()}
        _show(made, preview, as_json)
        return
    plan = run_request.make_plan(made.request, made.loaded)
    number = submission.hand_over(made, plan)
    if as_json:
        print_json({"run": str(made.folder.path), "job": number, "plan": plan.document()})
        return
    print(f"run {made.folder.name}: {plan.strategy} on {plan.device}, {plan.derivation()}, {plan.nodes} nodes")
    print(f"job {number}; look at it with: {_line(made, 'status', made.folder.name)}")


def _submit_array(made: ArraySubmission, dry_run: bool, as_json: bool) -> None:
    runs = [
        {"run": str(member.folder.path), "recipe": str(member.request.recipe), "set": dict(member.request.overrides)}
        for member in made.members
    ]
    if dry_run:
        _show(made.members[0], {"words": made.words(), "runs": runs, "job": made.members[0].document()}, as_json)
        return
    plans = array_submission.make_plans(made)
    number = array_submission.hand_over(made, plans)
    scheduler = schedulers.named(made.members[0].scheduler)
    if as_json:
        numbered = [{**run, "job": scheduler.task(number, task)} for task, run in enumerate(runs)]
        print_json({"array": str(made.folder.path), "job": number, "runs": numbered})
        return
    for task, (member, plan) in enumerate(zip(made.members, plans, strict=True)):
        what = f"{plan.strategy} on {plan.device}, {plan.steps} steps"
        print(f"job {scheduler.task(number, task)}  run {member.folder.name}: {what}")
    print(f"look at them with: {_line(made.members[0], 'compare', made.folder.name)}")


def _show(made: Submission, preview: dict[str, Any], as_json: bool) -> None:
    """The exact words, which runs, what of the environment is this job's own, and the script as it is."""
    words, script = preview["words"], Path(preview["words"][-2])
    own = secret.shown(made.environment(), ["PATH", "RECIPE_LAUNCHER_", *schedulers.named(made.scheduler).VARIABLES])
    if as_json:
        print_json({**preview, "environment": own, "script": str(script)})
        return
    print(shlex.join(words))
    for task, run in enumerate(preview.get("runs", [])):
        sets = " ".join(shlex.quote(f"{key}={value}") for key, value in run["set"].items())
        print(f"{'' if task else chr(10)}task {task}: run {Path(run['run']).name}: {run['recipe']} {sets}".rstrip())
    print(f"\nenvironment: this shell's, and PATH={own.pop('PATH')}")
    for name, value in own.items():
        print(f"             {name}={value}")
    if made.setup is not None:
        print(f"set-up:      {made.setup}, copied to {words[-1]}/setup.sh")
    print(f"\n{script}:\n{script.read_text(encoding='utf-8')}", end="")
    sys.stdout.flush()


def _line(made: Submission, verb: str, name: str) -> str:
    words = ["launcher", verb, name]
    if made.request.runs != Path("runs"):
        words += ["--runs", str(made.request.runs)]
    return shlex.join(words)
