"""`launcher submit`: a run as a job of the cluster."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from launcher import attempts, profile, submission
from launcher.attempts import Request
from launcher.cli.display import print_json
from launcher.submission import Submission


def submit_recipe(
    request: Request,
    profile_name: str | None,
    options: dict[str, Any],
    nodes: int | None,
    per_node: int | None,
    max_requeues: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Submit and say which job it became; with `dry_run` say what would be submitted."""
    chosen = submission.merged(profile.find(profile_name), options)
    made = submission.prepare(request, chosen, nodes, per_node, max_requeues)
    if dry_run:
        _show(made, as_json)
        return
    plan = attempts.make_plan(made.request, made.loaded)
    number = submission.hand_over(made, plan)
    if as_json:
        print_json({"run": str(made.folder.path), "job": number, "plan": plan.document()})
        return
    print(f"run {made.folder.name}: {plan.strategy} on {plan.device}, {plan.derivation()}, {plan.nodes} nodes")
    print(f"job {number}; look at it with: {_line(made, 'status')}")


def _show(made: Submission, as_json: bool) -> None:
    """The exact words, what of the environment is this job's own, and the script as it is."""
    words, script = made.words(), Path(made.words()[-2])
    environment = made.environment()
    if as_json:
        print_json(
            {"words": words, "environment": environment, "script": str(script), "job": made.document()},
        )
        return
    print(shlex.join(words))
    print(f"\nenvironment: this shell's, and PATH={environment['PATH']}")
    for name in sorted(environment):
        if name.startswith(("SBATCH_", "SLURM_", "RECIPE_LAUNCHER_")):
            print(f"             {name}={environment[name]}")
    if made.setup is not None:
        print(f"set-up:      {made.setup}, copied to {made.folder.setup}")
    print(f"\n{script}:\n{script.read_text(encoding='utf-8')}", end="")
    sys.stdout.flush()


def _line(made: Submission, verb: str) -> str:
    words = ["launcher", verb, made.folder.name]
    if made.request.runs != Path("runs"):
        words += ["--runs", str(made.request.runs)]
    return shlex.join(words)
