"""`launcher track`: what a tracker was not told while the run went on."""

from __future__ import annotations

from typing import Any

from launcher import secret
from launcher.errors import BackendError, Problem, WorkerError
from launcher.host import turns
from launcher.runs.feed import EVALUATION, STEP
from launcher.runs.run_folder import RunFolder
from launcher.training.tracking.sending import END, Sender


def catch_up(folder: RunFolder, tracker: dict[str, Any]) -> dict[str, Any]:
    """Tell it: `{"tracker", "steps", "evaluations", "end", "kept"}`, how much of each.

    Raises BackendError where the run itself is at it, WorkerError where the tracker cannot be told.
    """
    said: list[str] = []
    name = str(tracker["name"])
    folder.tracking.mkdir(exist_ok=True)
    try:
        with turns.alone(folder.tracking / f"{name}.lock", wait=False):
            sender = Sender(folder, tracker, lambda _: True, said.append)
            whole = sender.run()
    except BlockingIOError:
        what = f"{name} is told of this run by another process now"
        raise BackendError(Problem(what, str(folder.path), "try again when the run has ended")) from None
    counts = sender.counts
    if not whole:
        what = secret.without(said[-1]) if said else f"{name} was not told everything"
        do = "mend it, and type the same again: it goes on where it was"
        raise WorkerError(Problem(what, str(folder.path), do))
    told = {"steps": counts[STEP], "evaluations": counts[EVALUATION], "end": counts[END]}
    return {"tracker": name, **told, "kept": str(sender.path)}
