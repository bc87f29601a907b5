"""`launcher run --detach`: the run goes on in a session of its own, and the user gets the prompt back.

The process that drives it is forked before anything is begun. If a gate refuses it, the message
appears where it was typed; once it has started, its output goes to `launcher.log` in the run's folder. It is watched,
cancelled and resumed like any other run.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from launcher import streams
from launcher.cli.display import print_json
from launcher.cli.run import Session, run_recipe
from launcher.errors import BackendError, LauncherError, Problem, WorkerError, from_document
from launcher.launch.request import Request
from launcher.launch.supervisor import unwritten
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

PAUSE = 0.1
LONGEST = 1 << 14
"""Characters kept of what it printed before there was a folder, to be shown if it is refused."""


def refuse_to_detach(beside: Mapping[str, bool]) -> None:
    """Raise LauncherError if --detach is combined with something that cannot run in the background."""
    for what, given in beside.items():
        if given:
            do = "leave one of them out" + (", or type `nohup … &` around it" if what != "--dry-run" else "")
            raise LauncherError(Problem(f"--detach and {what} exclude each other", do=do))


def run_detached(request: Request, as_json: bool) -> int:
    """Return the exit code once the model is built. Raises the LauncherError of whichever gate refused."""
    ours, theirs = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os._exit(_drive(request, Background(theirs, request.resume)))
    os.close(theirs)
    try:
        return _wait(child, ours, request, as_json)
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGINT)
            os.waitpid(child, 0)
        raise


class Background(Session):
    """The session of the process that drives the run; it reports through a pipe to the one that waits."""

    def __init__(self, pipe: int, resumes: bool):
        self.pipe, self.resumes = pipe, resumes
        self.beside: Path | None = None
        """The file it prints to until there is a folder."""
        self.begins = 0
        """The offset in the log at which this process's output begins."""
        self.begun = False

    def leave(self, folder: RunFolder) -> None:
        """Print into the run's folder from now on, or beside it if it does not exist yet."""
        log = folder.log
        if self.resumes:
            self.begins = log.stat().st_size if log.is_file() else 0
        else:
            log = self.beside = folder.path.with_name(f".{folder.name}.{os.getpid()}.log")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            streams.print_into(log)
        except OSError as error:
            raise BackendError(unwritten(error, log.parent)) from None

    def opened(self, folder: RunFolder, attempt: AttemptFolder) -> None:
        """Report to the parent that the run's folder exists."""
        if self.beside is not None:
            self.beside.replace(folder.log)
            self.beside = None
        self.begun = True
        self.tell({"folder": str(folder.path), "attempt": attempt.number, "begins": self.begins})

    def tell(self, message: dict[str, Any]) -> None:
        """Send one line; the reader may be gone."""
        with contextlib.suppress(OSError):
            os.write(self.pipe, json.dumps(message).encode() + b"\n")

    def printed(self) -> str:
        """What it printed while there was no folder: this output is stored nowhere else."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self.beside is None:
            return ""
        with contextlib.suppress(OSError):
            return self.beside.read_text(encoding="utf-8", errors="replace")[-LONGEST:]
        return ""


def _drive(request: Request, background: Background) -> int:
    """Run as the background process until the run ends; its exit status."""
    try:
        return run_recipe(request, dry_run=False, as_json=False, session=background)
    except LauncherError as error:
        background.tell({"refused": error.document(), "printed": background.printed()})
        if background.begun:  # the parent may no longer be waiting
            print(f"launcher: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BaseException:
        traceback.print_exc()
        background.tell({"printed": background.printed()})
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if background.beside is not None:
            background.beside.unlink(missing_ok=True)


def _wait(child: int, pipe: int, request: Request, as_json: bool) -> int:
    state: dict[str, Any] = {}
    with contextlib.ExitStack() as open_files:
        log: BinaryIO | None = None
        for message in _messages(pipe):
            state |= message
            if "folder" not in state:
                continue
            folder = RunFolder(Path(state["folder"]))
            log = log or open_files.enter_context(_opened_at(folder.log, state["begins"]))
            _show(log, as_json)
            if folder.attempt(state["attempt"]).origin.is_file():  # its model is built, and that is on record
                return _begun(folder, child, request, as_json)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if log is not None:
            _show(log, as_json)
    print(state.get("printed", ""), end="", file=sys.stderr)
    if "refused" in state:
        raise from_document(state["refused"])
    if "folder" not in state:
        if code == 130:
            return code
        raise BackendError(Problem(f"the process that was to drive the run ended with status {code}", do="see above"))
    if code == 0:
        return _begun(folder, child, request, as_json)
    if as_json:
        print_json({"run": str(folder.path), **(read_json(folder.outcome) or {})})
    return code if code > 0 else WorkerError.exit_code


def _opened_at(path: Path, begins: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(begins)
    return file


def _show(log: BinaryIO, as_json: bool) -> None:
    """Print what was added to the log since the last call."""
    print(log.read().decode(errors="replace"), end="", file=sys.stderr if as_json else sys.stdout, flush=True)


def _begun(folder: RunFolder, child: int, request: Request, as_json: bool) -> int:
    if as_json:
        print_json({"run": str(folder.path), "process": child, "log": str(folder.log)})
        return 0
    print(f"run {folder.name} goes on in the background as process {child}; it prints into {folder.log}")
    where = [] if request.runs == Path("runs") else ["--runs", str(request.runs)]
    for what, words in (("look at it", ["status"]), ("follow it", ["logs", "--follow"]), ("end it", ["cancel"])):
        verb, *options = words
        print(f"{what + ':':<12}{shlex.join(['launcher', verb, folder.name, *options, *where])}")
    return 0


def _messages(pipe: int) -> Iterator[dict[str, Any]]:
    """The other process's messages, with an empty one now and then, until it has ended."""
    unread = b""
    while True:
        if not select.select([pipe], [], [], PAUSE)[0]:
            yield {}
            continue
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return
        *lines, unread = (unread + piece).split(b"\n")
        for line in lines:
            yield json.loads(line)
