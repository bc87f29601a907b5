"""Every error a user can meet, in one tree; each says what is wrong, where, and what to do.

    LauncherError
    |-- RecipeError      exit 2   your recipe, data file name or override is wrong
    |-- DataError        exit 2   a data file or a row of it is wrong
    |-- PlanError        exit 3   this combination cannot run here
    |-- BackendError     exit 4   the run could not be started, found or followed
    `-- WorkerError      exit 5   the run started and then broke

One error carries *all* the problems of its gate (a list of `Problem`), so a user mends them in one go.
`Interrupted` (exit 75, "resumable" in the manner of sysexits) is not an error but the end of a stopped run.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import pwd
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

MARKS = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed"),
    "failed to map segment",
)
"""What CUDA, torch's CPU allocator, the kernel, cuBLAS and the loader of libraries say in an exception of no class of
its own."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `what`, `where` (`recipes/x.py:14`, `reviews.csv row 1,204`), what to `do`."""

    what: str
    where: str = ""
    do: str = ""

    def lines(self) -> list[str]:
        """The problem as one to three printable lines, without control characters."""
        lines = [printable(self.what)]
        if self.where:
            lines.append("  where: " + printable(self.where))
        if self.do:
            lines.append("  do:    " + printable(self.do))
        return lines

    def document(self) -> dict[str, str]:
        """The problem as JSON carries it."""
        return {"what": self.what, "where": self.where, "do": self.do}


class LauncherError(Exception):
    """The root: a non-empty list of problems and the exit code of its family."""

    exit_code = 2
    family = "usage"

    def __init__(self, problems: Problem | Iterable[Problem]):
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join(line for problem in self.problems for line in problem.lines())

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback."""
        return [f"launcher: {self}"]

    def document(self) -> dict[str, object]:
        """The error as `--json` prints it and as a child process hands it to its parent."""
        return {"error": self.family, "problems": [problem.document() for problem in self.problems]}


class RecipeError(LauncherError):
    """The recipe, an override or a path in it is wrong."""

    exit_code = 2
    family = "recipe"


class DataError(LauncherError):
    """A data file is missing, unreadable or holds rows that cannot be used."""

    exit_code = 2
    family = "data"


class PlanError(LauncherError):
    """Recipe, machine and launch options do not fit together."""

    exit_code = 3
    family = "plan"


class BackendError(LauncherError):
    """A run could not be started, found or followed."""

    exit_code = 4
    family = "backend"


class WorkerError(LauncherError):
    """A rank started and then broke."""

    exit_code = 5
    family = "worker"
    batch_too_large = False
    """A rank ran out of memory while it computed a batch: the next attempt may do with a smaller micro-batch."""
    repeatable = False
    """A process was killed or hung, or its line to another one broke: the same again may go well."""
    room: int | None = None
    """Bytes that were free when the disk was too full: the same again may go well once there are more."""
    victim: tuple[str, str] | None = None
    """Which process was lost, and how it ended: by these the same fault is known again."""
    machine_lost = False
    """A machine ended without a word: the run can go on, on another one."""


class Interrupted(LauncherError):
    """The run was stopped on request; what it had is saved and can be resumed."""

    exit_code = 75
    family = "stopped"


FAMILIES: tuple[type[LauncherError], ...] = (
    RecipeError, DataError, PlanError, BackendError, WorkerError, Interrupted,
)  # fmt: skip


def from_document(document: dict[str, object]) -> LauncherError:
    """The error that `LauncherError.document` described; an unknown family becomes a WorkerError."""
    problems = document.get("problems")
    rows = problems if isinstance(problems, list) else []
    family = {error.family: error for error in FAMILIES}.get(str(document.get("error")), WorkerError)
    return family(Problem(**{key: str(row.get(key, "")) for key in ("what", "where", "do")}) for row in rows)


OVER_ROWS = "(while rows were computed)"


@contextlib.contextmanager
def over_rows() -> Iterator[None]:
    """What breaks in here broke over rows: fewer of them at a time may mend it (`broke_over_rows`)."""
    try:
        yield
    except BaseException as error:
        error.add_note(OVER_ROWS)
        raise


def broke_over_rows(error: BaseException) -> bool:
    """Whether rows were being computed when it broke: memory was taken with the batch, not while a model was built."""
    return OVER_ROWS in getattr(error, "__notes__", ())


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory could not be had, on the GPU or the CPU."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = str(error).lower()
    # torch.OutOfMemoryError is a RuntimeError
    return isinstance(error, RuntimeError | ImportError) and any(mark in text for mark in MARKS)


def more_threads(error: BaseException) -> str:
    """What to do where the system let this process start no further thread; '' of any other error."""
    if not isinstance(error, RuntimeError) or "can't start new thread" not in str(error):
        return ""
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY:
        return f"its stack finds no room in {space // 2**20:,} MiB of address space: raise that limit (ulimit -v)"
    return "too many processes and threads run: end some, or raise the limit on them (ulimit -u, or the container's)"


def whose(path: Path) -> str:
    """Whose file or folder that is, or the nearest above it that can be seen: `; it belongs to ann`; '' where ours."""
    for seen in (path, *path.parents):
        try:
            user = seen.stat().st_uid
        except OSError:
            continue
        if user == os.geteuid():
            return ""
        try:
            name = pwd.getpwuid(user).pw_name
        except KeyError:
            name = f"user {user}"
        return f"; {'it' if seen == path else seen} belongs to {name}"
    return ""


REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)


def refused_by_the_system(error: BaseException) -> LauncherError | None:
    """An error of ours as it is, or a file that cannot be read or written, with whose it is; None for all else."""
    if isinstance(error, LauncherError):
        return error
    if not isinstance(error, OSError) or error.errno not in REFUSALS:
        return None
    path = Path(error.filename) if isinstance(error.filename, str | Path) else None
    foreign = whose(path) if path else ""
    do = "ask its owner for access, or take a folder of your own" if foreign else ""
    return BackendError(Problem(f"{error.strerror}{foreign}", str(path or ""), do))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'rank'?` or, where nothing is near, the list of what is known."""
    known = sorted(known)
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    return "known: " + ", ".join(known) if known else ""


LONGEST = 80
"""Characters of a value that a message shows."""


def short(text: str) -> str:
    """A value as a message shows it: a long one is cut, with its length behind it."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def printable(text: str) -> str:
    """The text with control characters escaped: a data row must not steer the user's terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" or category(c) == "Zs" else ascii(c)[1:-1] for c in text)
