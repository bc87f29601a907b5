"""What one line can say of a run, from its folder and the queue: light enough for hundreds of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from launcher import living, queueing, rundir
from launcher.queueing import Standing
from launcher.recipe import settled
from launcher.rundir import RunFolder, read_json


@dataclass(frozen=True)
class Summary:
    """One run. A figure that is not known yet, or of a run that is too old to tell it, is None."""

    run: str
    path: str
    status: str
    step: int
    steps: int
    metric: str | None
    """By which the run selects its best step."""
    validation: dict[str, Any] | None
    test: dict[str, Any] | None
    started: str
    """When its folder was written, as an ISO date."""
    job: int | str | None
    strategy: str
    world_size: int
    seconds: float | None
    examples_per_second: float | None
    peak_memory_bytes: int | None
    """Of the rank that took most."""
    values: dict[str, Any]
    """Every field of its recipe, by its dotted name; and of each noun its kind."""

    def value(self, split: str, metric: str | None = None) -> float | None:
        """This metric, or the run's own, on `validation` or `test`; None where the run does not tell it."""
        told = (self.validation if split == "validation" else self.test) or {}
        return told.get(metric or self.metric or "")


def summaries(folders: Sequence[RunFolder]) -> Iterator[Summary]:
    """Of each run; the cluster is asked once for all that have not finished."""
    ended = {folder.path: folder.ended() for folder in folders}
    open_ones = [folder for folder in folders if (ended[folder.path] or {}).get("status") != "finished"]
    queue = queueing.standings([folder for folder in open_ones if folder.job.is_file()])
    for folder in folders:
        yield _summary(folder, ended[folder.path] or {}, queue.get(folder.path))


def _summary(folder: RunFolder, outcome: dict[str, Any], queue: Standing | None) -> Summary:
    plan, values = read_json(folder.plan), settled(read_json(folder.recipe) or {})
    metrics, attempts = outcome.get("metrics") or {}, folder.attempts()
    beat = (read_json(attempts[-1].pulse(0)) or {}) if attempts else {}
    validation = metrics.get("validation")
    if validation is None and attempts:
        validation = next(reversed(folder.evaluations_so_far()), None)
    return Summary(
        run=folder.name,
        path=str(folder.path),
        status=status_in_words(folder, queue),
        step=int(outcome.get("steps", beat.get("step", 0))),
        steps=plan["steps"],
        metric=values.get("training.select_by"),
        validation=validation,
        test=metrics.get("test"),
        started=datetime.fromtimestamp(folder.plan.stat().st_mtime).astimezone().isoformat(timespec="seconds"),
        job=(read_json(folder.job) or {}).get("job"),
        strategy=plan["strategy"],
        world_size=plan["world_size"],
        seconds=(outcome.get("seconds") or {}).get("total"),
        examples_per_second=outcome.get("examples_per_second"),
        peak_memory_bytes=max(outcome.get("peak_memory_bytes") or [], default=None),
        values=values,
    )


def status_in_words(folder: RunFolder, queue: Standing | None) -> str:
    """How the run stands: as its job does that waits or runs, or else as its folder tells it."""
    if queue is not None and queue.alive:
        return queue.state
    told = rundir.status_of(folder)
    if told != "died":
        return told
    attempts = folder.attempts()
    if not attempts:
        return "not started"
    # on a node of a cluster that does not answer: whoever drives it is not seen from here, but its pulse is
    heard = queue is None and folder.job.is_file() and living.is_young(attempts[-1].heard())
    return "running" if heard else told
