"""The known schedulers of clusters, and which one applies. Another one is one more line here."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.cluster import slurm
from launcher.cluster.scheduler import Scheduler, ThisJob
from launcher.errors import BackendError, Problem

SCHEDULERS: dict[str, Scheduler] = {"slurm": slurm}
"""By name. Where none is installed, the first one reports that it is missing."""
DEFAULT = next(iter(SCHEDULERS))


def named(name: str) -> Scheduler:
    """The scheduler of that name. Raises BackendError where there is none."""
    if name not in SCHEDULERS:
        do = f"this installation knows: {', '.join(SCHEDULERS)}"
        raise BackendError(Problem(f"there is no scheduler {name!r} here", "job.json", do))
    return SCHEDULERS[name]


def name_here() -> str:
    """The scheduler whose commands are here; the default where none's are."""
    return next((name for name, scheduler in SCHEDULERS.items() if scheduler.there()), DEFAULT)


def here() -> Scheduler:
    """The scheduler that `name_here` names."""
    return named(name_here())


def around(environment: Mapping[str, str]) -> tuple[Scheduler, ThisJob] | None:
    """The scheduler of the job that this process is part of, and the job; None outside of one."""
    for scheduler in SCHEDULERS.values():
        if (job := scheduler.this_job(environment)) is not None:
            return scheduler, job
    return None
