"""The process that drives a run: its lease, whether it still lives, and asking it to end.

A job's driver, or a process here. docs/decisions/010-fencing.md says what applies where one was cut off.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from launcher.errors import BackendError, Problem
from launcher.host import processes
from launcher.json_files import write_json
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

SECONDS_BETWEEN_SIGNS = 5.0
"""Seconds between two renewals of a driver's lease."""


def take_lease(folder: RunFolder, scheduled: bool = False) -> None:
    """Make this process the run's driver. Raises BackendError while another one lives.

    A job that was requeued is `scheduled`: whatever its earlier start still does on a machine that was cut off, this
    start counts (docs/decisions/010-fencing.md), so only this machine is looked at.
    """
    refuse = _refuse_holder if scheduled else refuse_driven
    refuse(folder)
    write_json(folder.lease, processes.identity())


def refuse_driven(folder: RunFolder) -> None:
    """Raise BackendError while another process drives the run, on this machine or on another."""
    _refuse_holder(folder)
    host = driven_elsewhere(folder)
    if host is not None:
        do = f"wait for it, or stop it there with `launcher cancel {folder.name}`"
        do += f"; if {host} is gone, try again in {processes.STILL_SECONDS:.0f} s"
        raise BackendError(Problem(elsewhere_message(folder, host), str(folder.path), do))


def _refuse_holder(folder: RunFolder) -> None:
    holder = lease_holder(folder)
    if holder is not None and holder != os.getpid():
        what = f"run {folder.name} is being driven by process {holder}"
        do = f"wait for it, or stop it with `kill {holder}`"
        raise BackendError(Problem(what, str(folder.path), do))


def lease_holder(folder: RunFolder) -> int | None:
    """The process that drives the run, if it is alive on this machine (a reused number does not count)."""
    lease = read_json(folder.lease)
    return int(lease["pid"]) if lease and processes.lives(lease) else None


def driven_elsewhere(folder: RunFolder) -> str | None:
    """The other machine that drives the run; None once it has given no sign of life for `STILL_SECONDS`.

    Its processes cannot be seen from here. The driver renews its lease, and ranks in training have a pulse; ranks that
    were started by hand have only the pulse.
    """
    lease, attempts = read_json(folder.lease), folder.attempts()
    if not lease or processes.is_of_this_boot(lease):
        return None
    heard = [attempt.heard() for attempt in attempts[-1:]]
    with contextlib.suppress(OSError):  # dropped between the look and now
        heard.append(folder.lease.stat().st_mtime)
    return str(lease.get("host", "another machine")) if processes.is_young(max(heard, default=0.0)) else None


def elsewhere_message(folder: RunFolder, host: str) -> str:
    """The message that the run is driven on that host."""
    return f"run {folder.name} is being driven on {host}, by process {(read_json(folder.lease) or {}).get('pid')}"


def keep_lease(folder: RunFolder) -> None:
    """Renew this process's lease; a process that has taken over renews its own."""
    # a disk that cannot be reached now is reported by what has something to write
    with contextlib.suppress(OSError, BackendError):
        if processes.is_mine(read_json(folder.lease)):
            os.utime(folder.lease)


def drop_lease(folder: RunFolder) -> None:
    """Give up this process's lease; a process that has taken over keeps its own."""
    if processes.is_mine(read_json(folder.lease)):
        folder.lease.unlink(missing_ok=True)


def status_of(folder: RunFolder) -> str:
    """`finished`, `failed` or `stopped` as the outcome says; `running`; or `died` (killed without an outcome)."""
    if lease_holder(folder) is not None or driven_elsewhere(folder) is not None:
        return "running"
    outcome = folder.ended()
    return str(outcome["status"]) if outcome else "died"


def cancel(number: int | str) -> None:
    """Have the run that this process drives save and end. Raises BackendError where it is not ours to end."""
    ignored = _ignored(int(number))
    heard = [one for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if not ignored >> (one - 1) & 1]
    if not heard:
        what, do = f"process {number} was started to ignore the signals that would end it", f"`kill -9 {number}`"
        raise BackendError(Problem(what, do=f"{do}; what it saved last counts"))
    try:
        os.kill(int(number), heard[0])
    except OSError as error:
        what = f"process {number} cannot be stopped: {str(error.strerror).lower()}"
        raise BackendError(Problem(what, do="ask who started the run, or look again with `launcher status`")) from None


def _ignored(process: int) -> int:
    """A bit for each signal that the process ignores, as one does that `nohup` or `trap ''` started."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("SigIgn:")), 16)
    return 0
