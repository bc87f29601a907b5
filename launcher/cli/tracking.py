"""`launcher track`: a tracker is told what a run has reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launcher.child import heavy
from launcher.cli.display import print_json
from launcher.errors import BackendError, Problem
from launcher.launch import tracking
from launcher.runs import trackers
from launcher.runs.run_folder import find


def track_run(run: str, runs: Path, names: Sequence[str], as_json: bool) -> None:
    """Tell each of them, and say what it was told."""
    folder = find(run, runs)
    documents = tracking.documents(names, Path.cwd()) or trackers.kept(folder)
    if not documents:
        what = f"run {folder.name} reports to no tracker"
        raise BackendError(Problem(what, str(folder.path), f"say to which: --tracker {' or '.join(tracking.SERVICES)}"))
    told = [heavy("track", {"folder": str(folder.path), "tracker": document}) for document in documents]
    if as_json:
        print_json({"run": str(folder.path), "trackers": told})
        return
    for one in told:
        counts = f"{one['steps']:,} steps, {one['evaluations']:,} evaluations{', how it ended' if one['end'] else ''}"
        nothing = not (one["steps"] or one["evaluations"] or one["end"])
        if nothing:
            print(f"{one['tracker']} knew it all; to tell it all again, remove {one['kept']}")
        else:
            print(f"{one['tracker']} was told of run {folder.name}: {counts}")
