"""Running modules of ours in processes of their own, and requests to one that computes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any, Self

from launcher.errors import BackendError, Problem, WorkerError, from_document


def words(module: str, *arguments: str) -> list[str]:
    """`python -m MODULE ARGUMENTS`, with this Python; `-P` because it must import nothing from the working folder.

    What lies there is the user's: a `launcher.py`, `torch.py` or `random.py` of their own would be taken for ours.
    """
    if not sys.executable:
        do = "set sys.executable to the path of a Python that has recipe-launcher"
        raise BackendError(Problem("this program does not say where its Python is, so that none can be started", do=do))
    return [sys.executable, "-P", "-m", module, *arguments]


class Heavy:
    """A heavy child process (`launcher.worker.verbs`) that does one verb; it ends with this `with` at the latest.

    What it answers comes through a pipe of its own: nothing that is printed in the child is in it.
    """

    def __init__(self, verb: str) -> None:
        self.verb = verb
        read_end, write_end = os.pipe()
        try:
            self.process = subprocess.Popen(
                words("launcher.worker.verbs", verb, str(os.getpid()), str(write_end)),
                stdin=subprocess.PIPE,
                stdout=2,
                pass_fds=[write_end],
                start_new_session=True,  # Ctrl-C is for us alone; the child dies with us
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        self.answers = os.fdopen(read_end, "rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.process.kill()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.answers.close()

    def ask(self, request: dict[str, Any]) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its status says more
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def line(self) -> dict[str, Any]:
        """The next line that it answers. Raises the error that ended it."""
        text = self.answers.readline()
        if text.endswith(b"\n"):
            line: dict[str, Any] = json.loads(text)
            return line
        return {"ended": self.result(text)}

    def result(self, text: bytes) -> Any:
        """What it answered at its end. Raises the error that it raised."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        code = self.process.wait()
        try:
            answer = json.loads(text)
        except ValueError:
            what = f"the process that does `{self.verb}` ended with status {code}"
            raise WorkerError(Problem(what, do="see above")) from None
        if code != 0:
            raise from_document(answer)
        return answer


def heavy(verb: str, request: dict[str, Any]) -> Any:
    """The answer of a heavy child process to one request. Raises the error that the child raised."""
    with Heavy(verb) as child:
        child.ask(request)
        return child.result(child.answers.read())
