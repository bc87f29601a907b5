"""From a request to a job: the gates with the cluster's facts, the plan, the run folder, and its submission."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from launcher import secret
from launcher.cluster import cluster_rules, job_status, schedulers
from launcher.cluster.inventory import Cluster
from launcher.cluster.job import Job, Profile, minutes
from launcher.cluster.scheduler import Number
from launcher.errors import BackendError, LauncherError, PlanError, Problem, RecipeError
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.json_files import write_json
from launcher.launch import opening, run_request
from launcher.launch.request import Request
from launcher.plan.plan import Plan
from launcher.plan.rules import device_for, processes_for
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs.run_folder import RunFolder


@dataclass(frozen=True)
class JobRequest:
    """The request to the cluster, whichever run it is for."""

    profile: Profile
    nodes: int | None = None
    processes_per_node: int | None = None
    max_requeues: int = 20
    after: tuple[RunFolder, ...] = ()
    """The runs that must be finished before."""


@dataclass(frozen=True)
class ClusterView:
    """What the cluster and this machine have, queried once for all runs that are submitted."""

    scheduler: str
    cluster: Cluster
    accounts: Sequence[str]
    here: Facts
    dependency: str | None
    """On the jobs of the runs that must be finished before."""


@dataclass(frozen=True)
class Submission:
    """One run on its way to the cluster: nothing of it is written yet."""

    request: Request
    """With the cluster's facts and a placement that leaves nothing open."""
    loaded: LoadedRecipe
    folder: RunFolder
    job: Job
    terms: JobRequest
    scheduler: str
    """The name of the scheduler that it goes to."""

    @property
    def setup(self) -> Path | None:
        """The site's set-up file."""
        return Path(self.terms.profile.setup) if self.terms.profile.setup else None

    def words(self) -> list[str]:
        """The whole command that submits it."""
        return schedulers.named(self.scheduler).arguments(self.job, self.folder.path)

    def environment(self) -> dict[str, str]:
        """The variables that its job starts with: this environment, and this interpreter."""
        return schedulers.named(self.scheduler).environment(Path(sys.executable))

    def document(self) -> dict[str, Any]:
        """The contents of job.json. The jobs that it depends on are not stored: they are looked up each time."""
        return {
            "scheduler": self.scheduler,
            "options": asdict(replace(self.job, dependency=None)),
            "setup": str(self.setup) if self.setup else None,
            "nodes": self.job.nodes,
            "processes_per_node": self.request.placement.processes,
            "max_requeues": self.terms.max_requeues,
            "after": [str(folder.path) for folder in self.terms.after],
            "job": None,
        }


def merged(profile: Profile, options: dict[str, Any]) -> Profile:
    """The profile with the command line's options in it. Raises PlanError for values that are not valid."""
    try:
        return replace(profile, **{name: value for name, value in options.items() if value is not None})
    except RecipeError as error:
        raise PlanError(_as_option(problem) for problem in error.problems) from None


def survey(terms: JobRequest) -> ClusterView:
    """Query the cluster. Raises BackendError where there is none, or for a run that no job can wait for."""
    if terms.profile.scratch is not None:
        os.environ["RECIPE_LAUNCHER_CACHE"] = terms.profile.scratch  # where all nodes find what is prepared here
    name, scheduler = schedulers.name_here(), schedulers.here()
    return ClusterView(
        name, scheduler.cluster(), scheduler.accounts(), machine_facts.facts(), job_status.dependency(terms.after)
    )


def gpus_in_vain(request: Request, view: ClusterView) -> str:
    """The version of torch because of which a job asks for no GPUs, though the cluster has some; empty otherwise.

    Its nodes use the environment that it is submitted from (`launcher.launch.preflight` checks that).
    """
    there = any(shape.gpus for partition in view.cluster.partitions for shape in partition.nodes)
    return machine_facts.build_without_gpus() if there and request.placement.device == "auto" else ""


def prepare(request: Request, terms: JobRequest, view: ClusterView) -> Submission:
    """Through the gates; creates nothing. Raises the LauncherError of whichever gate refused."""
    if gpus_in_vain(request, view):
        request = replace(request, placement=replace(request.placement, device="cpu"))
    profile, device = terms.profile, request.placement.device
    processes = terms.processes_per_node or profile.processes_per_node
    draft = _job(request, profile, terms.nodes or profile.nodes or 1, 0, None)
    shape = cluster_rules.node_for(view.cluster, draft, processes, device)
    if shape is None:
        nothing = Problem("there is no node of this kind", do="choose another --partition or --gpu-type")
        raise PlanError(cluster_rules.judge_job(view.cluster, view.accounts, draft) or nothing)
    facts = cluster_rules.facts_of(shape, view.here, None, profile)
    placement = replace(request.placement, nodes=draft.nodes, processes=processes)
    processes = processes_for(facts, placement)
    on_gpus = device_for(facts, placement) == "cuda"
    each = profile.cpus_per_process or max(1, shape.cores // max(processes, shape.gpus if on_gpus else 1))
    job = _job(request, profile, draft.nodes, processes if on_gpus else 0, processes * each)
    problems = cluster_rules.judge_job(view.cluster, view.accounts, job)
    problems += cluster_rules.judge_folder(view.cluster, request.runs, machine_facts.file_system(request.runs))
    facts = cluster_rules.facts_of(shape, view.here, processes * each, profile)
    request = replace(request, placement=replace(placement, processes=processes), facts=facts)
    try:
        loaded = run_request.gates(request)
    except LauncherError as error:
        raise PlanError([*problems, *error.problems]) if problems else error from None
    if problems:
        raise PlanError(problems)
    folder = run_request.find_folder(request, loaded)
    job = replace(job, name=job_name(folder.name), dependency=view.dependency)
    return Submission(request, loaded, folder, job, terms, view.scheduler)


def hand_over(submission: Submission, plan: Plan) -> int:
    """Write the run folder and submit; the job's number. Raises BackendError when it is refused; no folder is left."""
    words, environment = submission.words(), submission.environment()
    write(submission, plan)
    try:
        number = schedulers.named(submission.scheduler).submit(words, environment)
    except LauncherError:
        shutil.rmtree(submission.folder.path, ignore_errors=True)
        raise
    note_job(submission, number)
    return number


def write(submission: Submission, plan: Plan) -> None:
    """Write the run's folder, whose job has no number yet. Raises BackendError where it cannot, and leaves none."""
    folder = submission.folder
    opening.write_folder(folder, submission.request, submission.loaded, plan)
    try:
        if submission.setup is not None:
            shutil.copyfile(submission.setup, folder.setup)
            if secret.without(text := folder.setup.read_text(encoding="utf-8", errors="replace")) != text:
                folder.setup.chmod(0o600)  # it holds a secret: only its owner may read it
        write_json(folder.job, submission.document())
    except OSError as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise BackendError(Problem(f"the run folder cannot be written: {error}", str(folder.path))) from None


def note_job(submission: Submission, number: Number) -> None:
    """Write down the number of the run's job."""
    write_json(submission.folder.job, {**submission.document(), "job": number})


def job_name(run: str) -> str:
    """The name of a run's job: the ASCII part of the run's name, since schedulers take no more."""
    return run.encode("ascii", "ignore").decode().strip("-._") or "run"


def _job(request: Request, profile: Profile, nodes: int, gpus: int, cpus: int | None) -> Job:
    try:
        return Job(
            name=job_name(request.name or "run"),
            partition=profile.partition,
            account=profile.account,
            qos=profile.qos,
            time=profile.time,
            nodes=nodes,
            gpus_per_node=gpus,
            gpu_type=profile.gpu_type,
            cpus_per_task=cpus,
            memory=profile.memory,
            constraint=profile.constraint,
            reservation=profile.reservation,
            exclude=profile.exclude,
            exclusive=profile.exclusive,
            signal=f"B:USR1@{_seconds_of_warning(profile.time)}",
        )
    except RecipeError as error:
        raise PlanError(_as_option(problem) for problem in error.problems) from None


def _seconds_of_warning(time: str | None) -> int:
    """How long before its end a job is warned, so that it saves and is put back: at most a tenth of its time."""
    limit = minutes(time) if time is not None else None
    return 120 if limit is None else max(10, min(120, limit * 6))


def _as_option(problem: Problem) -> Problem:
    """`Profile.time: it must be …` as the command line says it."""
    field, _, what = problem.what.partition(": ")
    return Problem(what, "--" + field.rpartition(".")[2].replace("_", "-"), problem.do)
