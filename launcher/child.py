"""Running modules of ours in processes of their own, and requests to one that computes."""

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
    """The answer of a heavy child process (`launcher.worker.verbs`). Raises the error that the child raised.

    The answer comes through a pipe of its own: nothing that is printed in the child is in it.
    """
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(
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
    assert process.stdin is not None
    with os.fdopen(read_end, "rb") as answer_file, process.stdin as stdin:
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended before it had read: its status says more
                stdin.write(json.dumps(request).encode())
                stdin.close()
            text = answer_file.read()
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
    try:
        answer = json.loads(text)
    except ValueError:
        raise WorkerError(Problem(f"the process that does `{verb}` ended with status {code}", do="see above")) from None
    if code != 0:
        raise from_document(answer)
    return answer
