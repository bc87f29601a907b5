"""Slurm: what the cluster has (read without torch), submitting a job, and how one stands.

It speaks to Slurm's own commands: options are separate words of an argument list, built from values that
`launcher.cluster.job` has checked; no value is ever written into a script or passed through a shell.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.cluster.inventory import Cluster, Nodes, Partition
from launcher.cluster.job import Job, minutes
from launcher.cluster.scheduler import Number, Queued, ThisJob
from launcher.cluster.slurm import words as slurms_words
from launcher.errors import BackendError, Problem
from launcher.host import this_user
from launcher.shipped_files import shipped

NAME = "Slurm"
VARIABLES: tuple[str, ...] = ("SBATCH_", "SLURM_")
SCRIPT = "train.sbatch"

PATIENCE = 60.0
"""Seconds until a command of Slurm's counts as unanswered; a busy controller may take half of them."""

SECONDS_TO_END = 30
"""After the first machine's part of a step has ended the others get this long: they may wait for one that was killed,
and they would wait for half an hour."""

NAMED_OTHERWISE = {"name": "job-name", "memory": "mem", "gpu_type": ""}
"""Fields of `Job` whose option has another name; an empty one has no option of its own."""


def there() -> bool:
    """Whether its commands are here."""
    return shutil.which("sinfo") is not None


def cluster() -> Cluster:
    """The partitions and what their nodes have. Raises BackendError where there is no Slurm, or it does not answer."""
    output = _ask("sinfo", "--noheader", "--exact", "--format=%P|%l|%D|%c|%m|%G")
    by_partition: dict[str, list[list[str]]] = {}
    for line in output.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 6:
            by_partition.setdefault(fields[0], []).append(fields)
    return Cluster(tuple(_partition(name, rows) for name, rows in by_partition.items()))


def _partition(name: str, rows: list[list[str]]) -> Partition:
    return Partition(
        name=name.rstrip("*"),
        default=name.endswith("*"),
        minutes=minutes(rows[0][1]),
        nodes=tuple(_nodes(row) for row in rows if row[2] != "0"),
    )


def _nodes(row: list[str]) -> Nodes:
    gpus, gpu_type = _gpus(row[5])
    cores, megabytes = int(row[3].rstrip("+")), int(row[4].rstrip("+"))
    return Nodes(count=int(row[2]), cores=cores, memory_bytes=megabytes << 20, gpus=gpus, gpu_type=gpu_type)


def _gpus(gres: str) -> tuple[int, str]:
    """`gpu:a100:4(S:0-1),tmp:1` -> 4 and a100."""
    total, kind = 0, ""
    for resource in re.sub(r"\([^)]*\)", "", gres).split(","):
        name, *rest = resource.split(":")
        if name == "gpu":
            count = rest.pop() if rest and rest[-1].isdigit() else "1"
            total, kind = total + int(count), kind or ":".join(rest)
    return total, kind


def accounts() -> list[str]:
    """The accounts this user may name; empty where the cluster keeps no accounting or does not answer."""
    words = ["--noheader", "--parsable2", "show", "associations", f"user={this_user.user_name()}", "format=account"]
    try:
        return sorted(set(_ask("sacctmgr", *words).split()))
    except BackendError:
        return []


def arguments(job: Job, run: Path) -> list[str]:
    """The whole `sbatch` command of a job: its options, our script, and as its only argument the run's folder.

    Raises BackendError for a folder whose name Slurm would read as a pattern.
    """
    log = "slurm-%a.log" if job.array else "slurm.log"  # %a: the task's index
    if not run.is_absolute() or any(not c.isprintable() or c in "%\\" for c in str(run)):
        what = "a path for Slurm can hold no '%', no '\\' and no control characters"
        raise BackendError(Problem(what, str(run), "choose another --runs folder"))
    words = ["sbatch", "--parsable", "--open-mode=append", "--ntasks-per-node=1"]
    words += [f"--output={run}/{log}", "--requeue" if job.requeue else "--no-requeue"]
    for name in Job.__dataclass_fields__:
        value = getattr(job, name)
        option = NAMED_OTHERWISE.get(name, name.replace("_", "-"))
        if name == "gpus_per_node" and value and job.gpu_type:
            value = f"{job.gpu_type}:{value}"
        if name == "exclusive" and value:
            words.append("--exclusive")
        elif option and isinstance(value, str | int) and not isinstance(value, bool) and value != 0:
            words.append(f"--{option}={value}")
    if job.dependency:
        words.append("--kill-on-invalid-dep=yes")  # what can never start does not wait for ever
    return [*words, str(shipped("slurm") / SCRIPT), str(run)]


def environment(python: Path) -> dict[str, str]:
    """What a job starts with: this environment, with that interpreter's folder before all others on PATH."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    if "SLURM_CONF" in os.environ:
        inherited["SLURM_CONF"] = os.environ["SLURM_CONF"]
    path = os.environ.get("PATH", os.defpath)
    return {**inherited, "PATH": f"{python.parent}{os.pathsep}{path}"}


def submit(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Hand the job over; its number. Raises BackendError with Slurm's own words and our hint."""
    output = _ask(*words, environment=environment)
    number = output.strip().partition(";")[0]  # `--parsable` adds ;CLUSTER where there are several
    if not number.isdigit():
        raise BackendError(Problem(f"sbatch gave no job number: {output.strip()!r}", "sbatch"))
    return int(number)


def task(number: int, index: int) -> Number:
    """`12_3`: task 3 of the array 12."""
    return f"{number}_{index}"


def this_job(environment: Mapping[str, str]) -> ThisJob | None:
    """The job that this process is part of, from Slurm's variables."""
    number = environment.get("SLURM_JOB_ID", "")
    if not number.isdigit():
        return None
    array, index = environment.get("SLURM_ARRAY_JOB_ID", ""), environment.get("SLURM_ARRAY_TASK_ID", "")
    return ThisJob(
        # the last task's own number is the array's: by it Slurm would put back all tasks
        number=task(int(array), int(index)) if array.isdigit() and index.isdigit() else int(number),
        restarts=int(environment.get("SLURM_RESTART_COUNT", "0")),
        task=index,
        machine=int(environment.get("SLURM_NODEID", "0")),
        submitted_from=environment.get("SLURM_SUBMIT_HOST", ""),
    )


def hosts() -> tuple[str, ...]:
    """The names of this job's nodes, the batch step's first."""
    return tuple(_ask("scontrol", "show", "hostnames", os.environ.get("SLURM_JOB_NODELIST", "")).split())


def step(nodes: int, words: Sequence[str]) -> list[str]:
    """The `srun` command that runs these words once on each of the job's first `nodes` nodes."""
    command = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=0"]
    command.append(f"--wait={SECONDS_TO_END}")
    cores = os.environ.get("SLURM_CPUS_PER_TASK")  # since 22.05 a step does not take them over by itself
    if cores and cores.isdigit():
        command.append(f"--cpus-per-task={cores}")
    return [*command, "--input=none", "--", *words]


def requeue(number: Number) -> None:
    """Have a running job begin again later. Raises BackendError when Slurm refuses."""
    _ask("scontrol", "requeue", str(number))


def begins_again(number: Number) -> bool:
    """Whether Slurm puts the job back by itself."""
    job = look_up(number)
    return job is not None and job.state in ("PENDING", "REQUEUED", "COMPLETING")


def preempted(number: Number) -> bool:
    """Whether Slurm has begun to take a running job's nodes for another."""
    output = _ask("scontrol", "--oneliner", "show", "job", str(number))
    return any(word.startswith("PreemptTime=") and word != "PreemptTime=None" for word in output.split())


def look_up(number: Number) -> Queued | None:
    """What Slurm says of a job; None once it has forgotten it."""
    try:
        output = _ask("scontrol", "--oneliner", "show", "job", str(number))
    except BackendError as error:
        if "invalid job id" in str(error).lower():
            return _from_accounting(number)
        raise
    fields = dict(word.split("=", 1) for word in output.split() if "=" in word)
    return Queued(
        number=number,
        state=fields.get("JobState", "UNKNOWN"),
        reason=_text(fields.get("Reason", "None")),
        restarts=int(fields.get("Restarts", "0")),
        nodes=_text(fields.get("NodeList", "(null)")),
    )


def look_up_all(numbers: Sequence[Number]) -> dict[Number, Queued]:
    """The same of many, in one query: those that wait, run, or ended a short while ago. Restarts are not reported."""
    if not numbers:
        return {}
    wanted = {str(number): number for number in numbers}
    words = ["--noheader", "--array", "--states=all", f"--jobs={','.join(wanted)}", "--format=%i|%T|%N|%r"]
    try:
        output = _ask("squeue", *words)
    except BackendError as error:
        if "invalid job id" in str(error).lower():  # of several numbers Slurm leaves out those it has forgotten
            return {}
        raise
    jobs: dict[Number, Queued] = {}
    for line in output.splitlines():
        name, state, nodes, reason = (field.strip() for field in line.split("|", 3))
        if name in wanted:
            jobs[wanted[name]] = Queued(wanted[name], state, _text(reason), 0, nodes)
    return jobs


def in_words(queued: Queued, after: str) -> tuple[str, str]:
    """How the job stands, and why; `after` names the runs that it was to follow."""
    return slurms_words.standing(queued.state, queued.reason, after)


def _from_accounting(number: Number) -> Queued | None:
    """A job that the controller has forgotten, where the cluster keeps accounting records."""
    words = ["--noheader", "--parsable2", "--allocations", f"--jobs={number}", "--format=JobID,State,NodeList"]
    try:
        rows = [line.split("|") for line in _ask("sacct", *words).splitlines()]
    except BackendError:
        return None
    for name, state, nodes in (row for row in rows if len(row) == 3):
        if name == str(number):
            return Queued(number, state.partition(" ")[0], "", 0, _text(nodes))  # `CANCELLED by 1000`
    return None


def _text(value: str) -> str:
    """A field that may be empty in one of Slurm's ways."""
    return "" if value in ("None", "(null)", "None assigned") else value


def cancel(number: Number) -> None:
    """End a job. Raises BackendError when Slurm refuses."""
    _ask("scancel", str(number))


def _ask(*words: str, environment: Mapping[str, str] | None = None) -> str:
    """What one of Slurm's commands answers."""
    command = shutil.which(words[0])
    if command is None:
        what = f"there is no Slurm here: the command `{words[0]}` is not found"
        raise BackendError(Problem(what, "PATH", "log in to the cluster, or train here with `launcher run`"))
    try:
        done = subprocess.run(
            [command, *words[1:]],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        what = f"{words[0]} gave no answer in {PATIENCE:.0f} s"
        raise BackendError(Problem(what, do="the cluster's controller may be down or busy; try again")) from None
    except (OSError, ValueError) as error:
        raise BackendError(Problem(f"{words[0]} could not be started: {error}")) from None
    if done.returncode != 0:
        raise BackendError(_refusal(words[0], done.stderr or done.stdout))
    return done.stdout


def _refusal(command: str, output: str) -> Problem:
    lines = [line.removeprefix(f"{command}: ").removeprefix("error: ") for line in output.strip().splitlines()]
    return Problem(f"{command} refused: {'; '.join(lines) or 'it gave no reason'}", command, slurms_words.hint(output))
