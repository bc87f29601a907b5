"""What one line can say of a run, from its folder and the queue: light enough for hundreds of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from launcher.cluster import job_status
from launcher.cluster.job_status import JobStatus
from launcher.errors import BackendError, whose
from launcher.host import processes
from launcher.recipe.metrics import chosen, finite_number
from launcher.recipe.recipe import settled
from launcher.recipe.task import stored_metrics
from launcher.runs import driver
from launcher.runs.run_files import read_json, read_plan
from launcher.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Summary:
    """One run. A figure that is not known yet, or that an old version did not record, is None."""

    run: str
    path: str
    status: str
    step: int
    steps: int
    task: str
    """What kind of task it is; of a user's own also its file."""
    metric: str | None
    """By which the run selects its best step."""
    better: str
    """Which way that metric is better: max or min."""
    selected_step: int | None
    """The step whose weights count: the best of those evaluated so far."""
    validation: dict[str, Any] | None
    """The figures of that step."""
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
    problem: str | None = None
    """Which of its files is damaged; nothing else is known of the run then."""

    def value(self, split: str, metric: str | None = None) -> float | None:
        """This metric, or the run's own, on `validation` or `test`; None if the run has none."""
        metrics = (self.validation if split == "validation" else self.test) or {}
        return finite_number(metrics.get(metric or self.metric or ""))

    def choice(self) -> dict[str, Any] | None:
        """Which step is chosen, by which metric, and its figures; None before the first evaluation."""
        if self.validation is None or self.selected_step is None:
            return None
        about = {"step": self.selected_step, "steps": self.steps, "metric": self.metric or "", "better": self.better}
        return {**about, "validation": self.validation}


def summaries(folders: Sequence[RunFolder]) -> Iterator[Summary]:
    """Of each run; the cluster is queried once for all that have not finished."""
    open_ones = [folder for folder in folders if _may_be_a_job(folder)]
    queue = job_status.standings(open_ones)
    for folder in folders:
        yield summary(folder, queue.get(folder.path))


def _may_be_a_job(folder: RunFolder) -> bool:
    """Whether its scheduler has to be queried."""
    try:
        return bool(read_json(folder.job)) and (folder.ended() or {}).get("status") != "finished"
    except (BackendError, OSError):
        return False


def summary(folder: RunFolder, queue: JobStatus | None = None) -> Summary:
    """Of one run, without querying the cluster. If a file of it is damaged, the summary says only that."""
    try:
        return _summary(folder, folder.ended() or {}, queue)
    except BackendError as error:
        first = error.problems[0]
        return _damaged(folder, f"{first.what} ({first.where})")
    except OSError as error:
        return _damaged(folder, f"{error.strerror}: {error.filename}{whose(folder.path)}")
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        return _damaged(folder, f"its files hold what no version wrote: {type(error).__name__}: {error}")


def _damaged(folder: RunFolder, problem: str) -> Summary:
    unknown = {name.name: None for name in fields(Summary)}
    known = {
        "run": folder.name,
        "path": str(folder.path),
        "status": "damaged",
        "step": 0,
        "steps": 0,
        "problem": problem,
    }
    plain = {"task": "damaged", "better": "max", "started": "", "strategy": "", "world_size": 0, "values": {}}
    # mypy checks every field against the union of the values' types
    return Summary(**{**unknown, **known, **plain})  # type: ignore[arg-type]


def _summary(folder: RunFolder, outcome: dict[str, Any], queue: JobStatus | None) -> Summary:
    plan, values = read_plan(folder.plan), settled(read_json(folder.recipe) or {})
    metrics, attempts = outcome.get("metrics") or {}, folder.attempts()
    beat = attempts[-1].beat(0) if attempts else {}
    metric = values.get("training.select_by")
    better = stored_metrics(values).get(metric or "", "min" if metric == "loss" else "max")
    validation, selected = metrics.get("validation"), outcome.get("selected_step")
    if validation is None and attempts and metric is not None:
        validation = dict(chosen(folder.evaluations_so_far(), metric, better) or {}) or None
        selected = (validation or {}).get("step")
    return Summary(
        run=folder.name,
        path=str(folder.path),
        status=status_in_words(folder, queue),
        step=int(outcome.get("steps", beat.get("step", 0))),
        steps=plan["steps"],
        task=_task(values),
        metric=metric,
        better=better,
        selected_step=selected,
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


def _task(values: Mapping[str, Any]) -> str:
    """`TokenClassification`, or `CustomTask focal.py`."""
    own = f" {values['task.file']}" if "task.file" in values else ""
    return f"{values.get('task', 'a task')}{own}"


def status_in_words(folder: RunFolder, queue: JobStatus | None) -> str:
    """The run's status: that of its job if it waits or runs, else what its folder says."""
    if queue is not None and queue.alive:
        return queue.state
    status = driver.status_of(folder)
    if status != "died":
        return status
    attempts = folder.attempts()
    if not attempts:
        return "not started"
    # on a node of a cluster that does not answer: its driver cannot be seen from here, but its pulse can
    heard = queue is None and folder.job.is_file() and processes.is_young(attempts[-1].heard())
    return "running" if heard else status
