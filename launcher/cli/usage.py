"""What is wrong with a command line itself: verbs and options that do not exist, in our words."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Callable
from typing import Any

from launcher import streams
from launcher.errors import BackendError, LauncherError, Problem, did_you_mean, refused_by_the_system
from launcher.printing import json_line

OURS = {
    "--partition": ("-p",),
    "--account": ("-A",),
    "--qos": ("-q",),
    "--time": ("-t",),
    "--nodes": ("-N",),
    "--memory": ("--mem", "--mem-per-cpu", "--mem-per-gpu"),
    "--processes-per-node": (
        *("--gres", "--gpus", "-G", "--gpus-per-node", "--gpus-per-task", "--ntasks", "-n"),
        *("--ntasks-per-node", "--tasks-per-node"),
    ),
    "--cpus-per-process": ("--cpus-per-task", "-c", "--cpus-per-gpu"),
    "--constraint": ("-C",),
    "--exclude": ("-x",),
    "--name": ("--job-name", "-J"),
    "--after": ("--dependency", "-d"),
}
"""Options of sbatch that have another name in `launcher submit`."""
ELSEWHERE = {
    **dict.fromkeys(
        ("--output", "-o", "--error", "-e"),
        "what a job prints is in its run's folder: slurm.log, and a log of each rank",
    ),
    "--signal": "a job is warned in time by itself, saves, and goes on",
    "--requeue": "a job is put back by itself: see --max-requeues",
    "--export": "put it into the profile's set-up file (`setup` in launcher.toml)",
    "--wrap": "what a job runs is the recipe",
}
"""Options of sbatch that do not exist here, and why none is needed."""


DOING = ("run", "submit", "cancel", "resume")
"""Verbs that take effect whether or not their output can be written."""


def heard(code: int, arguments: list[str], print_error: Callable[[LauncherError, list[str]], int]) -> int:
    """The exit code; a different one if the command only prints something, and that could not be written."""
    error = streams.lost()
    if code or error is None or next((word for word in arguments if not word.startswith("-")), "") in DOING:
        return code
    if error.errno in (errno.EPIPE, errno.EIO):
        return 141  # as the shell says of a process whose reader has left
    return print_error(BackendError(Problem(f"the answer could not be written: {error.strerror}")), [])


def refuse_unknown_verb(arguments: list[str], command: Any) -> None:
    """Raise LauncherError when the first word is no verb."""
    verb = next((word for word in arguments if not word.startswith("-")), None)
    if verb is not None and verb not in command.commands:
        do = f"launcher run {shlex.quote(verb)}" if verb.endswith(".py") else did_you_mean(verb, command.commands)
        raise LauncherError(Problem(f"there is no verb {verb!r}", do=do))


def in_our_words(error: Exception) -> LauncherError | None:
    """An option that does not exist or a name that no file can have, as an error of ours; None for all else."""
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        name = str(error.filename)
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        return LauncherError(
            Problem(f"no file can be called {shown!r}: {error.strerror}", do="see --help for the order of the words")
        )
    if refusal := refused_by_the_system(error):
        return refusal
    option, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if not isinstance(option, str) or context is None or not hasattr(error, "possibilities"):
        return None
    verb = context.command_path
    return LauncherError(Problem(f"there is no option {option}", verb, _hint(option, verb, context.command)))


def _hint(option: str, verb: str, command: Any) -> str:
    known = [name[2:] for parameter in command.params for name in parameter.opts if name.startswith("--")]
    if verb.endswith(" submit"):
        ours = next((name for name, theirs in OURS.items() if option in theirs), None)
        if ours is not None:
            return f"did you mean {ours!r}? It is called so here"
        if option in ELSEWHERE:
            return ELSEWHERE[option]
    near = did_you_mean(option.lstrip("-"), known)
    return near.replace("'", "'--", 1) if near.startswith("did you") else f"see `{verb} --help`"


def print_usage_error(error: Exception, arguments: list[str]) -> int:
    """Print click's own errors (a missing argument, a value of the wrong type); anything else is a bug of ours."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    if "--json" in arguments:
        what = getattr(error, "format_message", error.__str__)()
        where = getattr(getattr(error, "ctx", None), "command_path", "launcher")
        print(json_line(LauncherError(Problem(what, where, f"see `{where} --help`")).document()))
    show()
    return int(getattr(error, "exit_code", 2))
