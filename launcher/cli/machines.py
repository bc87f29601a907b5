"""`launcher run --machines N --machine-rank K --head HOST:PORT`: one run on machines without a scheduler."""

from __future__ import annotations

import platform
import sys
from typing import Any

from launcher.cli.run import follow
from launcher.errors import LauncherError
from launcher.host import machine_facts
from launcher.host.stop_requests import StopRequests
from launcher.launch import opening, run_request, supervisor
from launcher.launch.node import Node, modules_for
from launcher.launch.request import Request
from launcher.multinode import member
from launcher.multinode.leader import Machines
from launcher.multinode.rendezvous import Gathering, Meeting
from launcher.recipe.recipe import LoadedRecipe, digest
from launcher.runs.run_files import read_json


def run_on_machines(request: Request, meeting: Meeting, as_json: bool) -> int:
    """Be this machine of the run; the exit code. Raises the LauncherError of whichever gate refused, on whichever."""
    began = machine_facts.process_start()
    loaded = run_request.gates(request)

    def say(text: str) -> None:
        print(text, file=sys.stderr if as_json else sys.stdout, flush=True)

    node = Node.open(
        modules_for(loaded.recipe, bool(machine_facts.facts().gpus))
    )  # imports while the others are waited for
    try:
        if meeting.number:
            return member.take_part(meeting, _typed(request, meeting, loaded), request.runs, node, say)
        gathered = Gathering.open(meeting, say)
        machines = Machines(gathered, node, StopRequests())
        try:
            return _lead(request, loaded, machines, began, as_json)
        except LauncherError as error:
            machines.end({"refused": error.document()})
            raise
        finally:
            machines.close()
    finally:
        node.close()


def _lead(request: Request, loaded: LoadedRecipe, machines: Machines, began: float, as_json: bool) -> int:
    """Machine 0: gather, plan, open the run's folder, drive."""
    gathered, stop = machines.gathered, machines.stop
    folder = run_request.find_folder(request, loaded)
    gathered.wait(_typed(request, gathered.meeting, loaded))
    gathered.say("preparing the data")
    plan = run_request.make_plan(request, loaded)
    gathered.share_disk(request.runs, plan.prepared)
    if request.resume:
        plan = supervisor.below_known_oom(folder, plan)
    attempt = opening.open_folder(folder, request, loaded, plan)
    code = follow(request, folder, attempt, plan, machines, began, as_json, stop, words(gathered.meeting))
    outcome = read_json(folder.outcome) or {"status": "died", "steps": 0}
    machines.end({"over": f"{folder.name}: {outcome['status']} after step {outcome['steps']}", "code": code})
    return code


def words(meeting: Meeting) -> tuple[str, ...]:
    """What is typed on this machine beside what is typed on all."""
    numbers = (str(meeting.machines), "--machine-rank", str(meeting.number))
    return ("--machines", *numbers, "--head", meeting.head)


def _typed(request: Request, meeting: Meeting, loaded: LoadedRecipe) -> dict[str, Any]:
    """What must be the same on all machines."""
    return {
        "machines": meeting.machines,
        "processes": request.placement.processes,
        "strategy": request.placement.strategy,
        "device": request.placement.device,
        "recipe": str(loaded.path.resolve()),
        "digest": digest(loaded.recipe),
        "versions": {"python": platform.python_version(), **machine_facts.versions()},
    }
