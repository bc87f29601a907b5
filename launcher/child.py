"""Modules of ours in a process of their own, and asking one that computes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any

from launcher.errors import BackendError, Problem, WorkerError, from_document


def words(module: str, *arguments: str) -> list[str]:
    """`python -m MODULE ARGUMENTS`, with this Python; `-P` because it must import nothing from the working folder.

    What lies there is the user's: a `launcher.py`, `torch.py` or `random.py` of their own would be taken for ours.
    """
    if not sys.executable:
        do = "set sys.executable to the path of a Python that has recipe-launcher"
        raise BackendError(Problem("this program does not say where its Python is, so that none can be started", do=do))
    return [sys.executable, "-P", "-m", module, *arguments]


def heavy(verb: str, request: dict[str, Any]) -> Any:
    """Ask a heavy child process (`launcher.worker.verbs`); its answer. Raises the error that the child raised.

    The answer comes by a pipe of its own: what anybody prints in the child, from its first line on, is not in it.
    """
    answer, told_by = os.pipe()
    try:
        process = subprocess.Popen(
            words("launcher.worker.verbs", verb, str(os.getpid()), str(told_by)),
            stdin=subprocess.PIPE,
            stdout=2,
            pass_fds=[told_by],
            start_new_session=True,  # Ctrl-C is for us alone; the child dies with us
        )
    except BaseException:
        os.close(answer)
        raise
    finally:
        os.close(told_by)
    assert process.stdin is not None
    with os.fdopen(answer, "rb") as told, process.stdin as asked:
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended before it had read: its status says more
                asked.write(json.dumps(request).encode())
                asked.close()
            text = told.read()
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
    try:
        found = json.loads(text)
    except ValueError:
        raise WorkerError(Problem(f"the process that does `{verb}` ended with status {code}", do="see above")) from None
    if code != 0:
        raise from_document(found)
    return found
