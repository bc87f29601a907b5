"""`launcher run --each KEY=V,V`: the runs of an array here, one after the other, without a scheduler.

They are called as `launcher submit --array` calls them, and `status`, `compare` and `cancel` take the name of all.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from launcher.cli.compare import show_comparison
from launcher.cli.display import print_json
from launcher.cli.run import run_recipe
from launcher.cluster.job_array import ArrayFolder
from launcher.errors import Interrupted, LauncherError, Problem
from launcher.host.stop_requests import signals_put_back
from launcher.jobs import array_submission
from launcher.jobs.array_submission import combinations, for_each
from launcher.json_files import write_json
from launcher.launch import run_request
from launcher.launch.request import Request
from launcher.runs import driver
from launcher.runs.run_folder import RunFolder


def refuse_to_sweep(given: Mapping[str, bool]) -> None:
    """Raise LauncherError where something is given that goes with a single run only."""
    for what, there in given.items():
        if there:
            raise LauncherError(Problem(f"{what} and --each exclude each other", do="start the runs one by one"))


def run_each(request: Request, each: Mapping[str, Sequence[str]], dry_run: bool, as_json: bool) -> int:
    """Train them all; the exit code of the first that failed. Problems of any are reported before the first
    begins.

    One that breaks does not end the others; a request to stop does. With `resume` those that finished are left out.
    """
    base = request.name or f"{run_request.plain_name(request.recipe.stem)}-{time.strftime('%Y%m%d-%H%M%S')}"
    requests = combinations(replace(request, name=base), [request.recipe], each)
    if request.resume:
        folder = ArrayFolder((request.runs / base).resolve())
        requests = [replace(one, resume=_folder(one).plan.is_file()) for one in requests]
        requests = [one for one in requests if not one.resume or driver.status_of(_folder(one)) != "finished"]
    else:
        folder = array_submission.free_folder(requests[0], base)
    all_of_them = [_folder(one) for one in combinations(replace(request, name=base), [request.recipe], each)]
    for_each(requests, lambda one: str(one.name), lambda one: run_request.find_folder(one, run_request.gates(one)))
    if not dry_run:
        folder.path.mkdir(parents=True, exist_ok=True)
        write_json(folder.tasks, folder.document(all_of_them, None))
    code, outcomes = 0, []
    for number, one in enumerate(requests):
        print(f"{'' if number == 0 else chr(10)}run {number + 1} of {len(requests)}", file=sys.stderr, flush=True)
        ended, outcome = _run(one, dry_run, as_json)
        outcomes.append(outcome)
        code = code or ended
        if ended == Interrupted.exit_code:
            print(f"the other runs are not begun; go on with the same line and --resume --name {base}", file=sys.stderr)
            code = ended
            break
    if as_json:
        print_json({"array": str(folder.path), "runs": outcomes})
    elif not dry_run:
        print()
        show_comparison([base], request.runs, as_json=False)
    return code


def _run(request: Request, dry_run: bool, as_json: bool) -> tuple[int, Any]:
    """One of them, from its gates to its end: the exit code, and what it printed as JSON."""
    printed = io.StringIO()
    with signals_put_back(), contextlib.redirect_stdout(printed) if as_json else contextlib.nullcontext():
        code = run_recipe(request, dry_run, as_json, began=time.time())
    return code, json.loads(printed.getvalue()) if as_json else None


def _folder(request: Request) -> RunFolder:
    return RunFolder((request.runs / str(request.name)).resolve())
