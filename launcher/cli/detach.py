"""`launcher run --detach`: the run goes on in a session of its own, and whoever typed it gets the prompt back.

The process that drives it is forked before anything is begun. What refuses it is told where it was typed; what it
prints from the start on is in `launcher.log` of the run's folder. It is looked at, cancelled and resumed like others.
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
from launcher.cli.run import Place, run_recipe
from launcher.errors import BackendError, LauncherError, Problem, WorkerError, from_document
from launcher.launch.request import Request
from launcher.launch.supervisor import unwritten
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

PAUSE = 0.1
LONGEST = 1 << 14
"""Characters of what it has printed before there is a folder, for whoever sees it refused."""


def refuse_to_detach(beside: Mapping[str, bool]) -> None:
    """Raise LauncherError where something is asked for beside it that cannot go on in the background."""
    for what, asked in beside.items():
        if asked:
            do = "leave one of them out" + (", or type `nohup … &` around it" if what != "--dry-run" else "")
            raise LauncherError(Problem(f"--detach and {what} exclude each other", do=do))


def run_detached(request: Request, as_json: bool) -> int:
    """Return once its model is there; the exit code. Raises the LauncherError of whichever gate refused."""
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


class Background(Place):
    """The place of the process that drives the run; whoever waits hears of it by a pipe."""

    def __init__(self, pipe: int, resumes: bool):
        self.pipe, self.resumes = pipe, resumes
        self.beside: Path | None = None
        """Where it prints as long as there is no folder."""
        self.begins = 0
        """The place in the log where this one's words begin."""
        self.begun = False

    def leave(self, folder: RunFolder) -> None:
        """Print into the run's folder from now on; where there is none yet, beside it."""
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
        """The run's folder is there."""
        if self.beside is not None:
            self.beside.replace(folder.log)
            self.beside = None
        self.begun = True
        self.tell({"folder": str(folder.path), "attempt": attempt.number, "begins": self.begins})

    def tell(self, message: dict[str, Any]) -> None:
        """Send one line; nobody may be there any more."""
        with contextlib.suppress(OSError):
            os.write(self.pipe, json.dumps(message).encode() + b"\n")

    def printed(self) -> str:
        """What it has printed where there is no folder, which then is nowhere else."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self.beside is None:
            return ""
        with contextlib.suppress(OSError):
            return self.beside.read_text(encoding="utf-8", errors="replace")[-LONGEST:]
        return ""


def _drive(request: Request, place: Background) -> int:
    """Be the process in the background, to the end of the run; its exit status."""
    try:
        return run_recipe(request, dry_run=False, as_json=False, place=place)
    except LauncherError as error:
        place.tell({"refused": error.document(), "printed": place.printed()})
        if place.begun:  # nobody may wait any more
            print(f"launcher: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BaseException:
        traceback.print_exc()
        place.tell({"printed": place.printed()})
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if place.beside is not None:
            place.beside.unlink(missing_ok=True)


def _wait(child: int, pipe: int, request: Request, as_json: bool) -> int:
    said: dict[str, Any] = {}
    with contextlib.ExitStack() as open_files:
        words: BinaryIO | None = None
        for message in _messages(pipe):
            said |= message
            if "folder" not in said:
                continue
            folder = RunFolder(Path(said["folder"]))
            words = words or open_files.enter_context(_from(folder.log, said["begins"]))
            _show(words, as_json)
            if folder.attempt(said["attempt"]).origin.is_file():  # its model is there, and it is in the books
                return _begun(folder, child, request, as_json)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if words is not None:
            _show(words, as_json)
    print(said.get("printed", ""), end="", file=sys.stderr)
    if "refused" in said:
        raise from_document(said["refused"])
    if "folder" not in said:
        if code == 130:
            return code
        raise BackendError(Problem(f"the process that was to drive the run ended with status {code}", do="see above"))
    if code == 0:
        return _begun(folder, child, request, as_json)
    if as_json:
        print_json({"run": str(folder.path), **(read_json(folder.outcome) or {})})
    return code if code > 0 else WorkerError.exit_code


def _from(path: Path, begins: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(begins)
    return file


def _show(words: BinaryIO, as_json: bool) -> None:
    """What it has printed since the last look."""
    print(words.read().decode(errors="replace"), end="", file=sys.stderr if as_json else sys.stdout, flush=True)


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
    """What the other process says, and an empty one now and then; until it has ended."""
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
