"""What a job may ask a cluster for: every value is checked against an allow-list of its kind when it is built.

None of these values can be an option of its own, a path, a pattern or a program: whatever reaches `sbatch` is
checked here first.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from launcher.recipe.noun import noun


def _kind(pattern: str, rule: str) -> AfterValidator:
    """Values that match the whole pattern; the rule is the error message for all others."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(rule)
        return value

    return AfterValidator(check)


_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}"
_TIME = r"\d{1,7}|\d{1,7}:\d{1,2}(:\d{1,2})?|\d{1,4}-\d{1,2}(:\d{1,2}){0,2}"
_SIGNALS = "HUP|INT|QUIT|TERM|USR1|USR2"
_AFTER = r"after(any|ok|notok|corr)?(:\d{1,10}(_\d{1,7})?){1,100}"
_TASKS = r"\d{1,7}(-\d{1,7}(:\d{1,7})?)?"

Word = Annotated[str, _kind(_WORD, "it must be one word of letters, digits, '_', '.', '+' and '-'")]
Words = Annotated[str, _kind(f"{_WORD}(,{_WORD}){{0,19}}", "it must be words with commas between them, without spaces")]
Name = Annotated[str, _kind(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "use letters, digits, '.', '_' and '-', at most 100")]
Time = Annotated[str, _kind(_TIME, "it must be minutes, HH:MM:SS or D-HH:MM:SS")]
Memory = Annotated[str, _kind(r"[1-9]\d{0,8}[KMGT]?", "it must be a number with K, M, G or T, e.g. 64G")]
Size = Annotated[str, _kind(r"[1-9]\d{0,6}(\.\d{1,3})?(GB|GiB)", "it must be a size, e.g. 80GB or 24GiB")]
Constraint = Annotated[
    str, _kind(r"[A-Za-z0-9_\[(][A-Za-z0-9_.,:&|*()\[\]-]{0,199}", "it must be features joined by & or |")
]
Hosts = Annotated[str, _kind(r"[A-Za-z0-9][A-Za-z0-9_.,\[\]-]{0,499}", "it must be host names, e.g. node[1-4],node7")]
Dependency = Annotated[
    str, _kind(rf"singleton|{_AFTER}([,?]{_AFTER}){{0,99}}", "it must be afterok:JOB, afterany:JOB, … or singleton")
]
Notice = Annotated[str, _kind(rf"(B:)?({_SIGNALS})@\d{{1,5}}", "it must be SIGNAL@SECONDS, e.g. B:USR1@120")]
Tasks = Annotated[
    str, _kind(rf"{_TASKS}(,{_TASKS}){{0,99}}(%\d{{1,7}})?", "it must be task numbers, e.g. 0-7 or 0,3,5%2")
]
Count = Annotated[int, Field(ge=1, le=100_000)]
Few = Annotated[int, Field(ge=0, le=64)]


@noun
class Job:
    """The options of `sbatch`; a field that is None is left to the cluster."""

    name: Name
    partition: Words | None = None
    account: Word | None = None
    qos: Word | None = None
    time: Time | None = None
    nodes: Count = 1
    gpus_per_node: Few = 0
    gpu_type: Word | None = None
    cpus_per_task: Count | None = None
    memory: Memory | None = None
    constraint: Constraint | None = None
    reservation: Words | None = None
    nodelist: Hosts | None = None
    exclude: Hosts | None = None
    dependency: Dependency | None = None
    signal: Notice | None = None
    array: Tasks | None = None
    requeue: bool = True
    exclusive: bool = False


@noun
class Profile:
    """A cluster as its users know it: `[profile.NAME]` in launcher.toml. The command line overrides each of these."""

    partition: Words | None = None
    account: Word | None = None
    qos: Word | None = None
    time: Time | None = None
    nodes: Count | None = None
    processes_per_node: Count | None = None
    cpus_per_process: Count | None = None
    gpu_type: Word | None = None
    gpu_memory: Size | None = None
    """Of each GPU: Slurm does not report it."""
    memory: Memory | None = None
    constraint: Constraint | None = None
    reservation: Words | None = None
    exclude: Hosts | None = None
    exclusive: bool = False
    scratch: str | None = None
    """A folder that all nodes see: prepared data is kept there."""
    setup: str | None = None
    """A shell file of the site's (modules, a virtual environment) that a job sources before anything else."""


def size_in_bytes(size: str) -> int:
    """`80GB` or `24GiB` in bytes."""
    number, unit = float(size.rstrip("GiB")), 1 << 30 if size.endswith("GiB") else 10**9
    return int(number * unit)


def minutes(time: str) -> int | None:
    """The whole minutes of a time that Slurm writes or reads, rounded up; None for one without end."""
    if time.lower() in ("infinite", "unlimited", "n/a", "none", "partition_limit"):
        return None
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:  # D-HH[:MM[:SS]]
        hours, minute, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 1:
        hours, minute, seconds = 0, parts[0], 0
    elif len(parts) == 2:
        hours, minute, seconds = 0, parts[0], parts[1]
    else:
        hours, minute, seconds = parts
    return (int(days or 0) * 24 + hours) * 60 + minute + (1 if seconds else 0)
