"""Where a run is started: this machine, and one module for each scheduler of clusters. They do not know each other.

`launcher.scheduler` says what is asked of a scheduler, and finds it by its module's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.backends import local, slurm
    from launcher.scheduler import Backend, Scheduler

    HELD_TO: tuple[Backend, Scheduler] = (local, slurm)
