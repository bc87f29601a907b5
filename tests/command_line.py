"""A command line carried out in this process: a new one imports torch and transformers first, 6 seconds and more.

How a command starts in a process of its own is shown by `tests/faults`, by the README's runs and by `launch`.
"""

import contextlib
import io
import json
import subprocess
import sys

import pytest

from launcher import child
from launcher.cli import app, compare, data_view, exporting, predict, pushing, run, tracking
from launcher.host.stop_requests import signals_put_back
from launcher.launch import run_request
from launcher.worker import verbs

COMPUTES = (child, compare, data_view, exporting, predict, pushing, run_request, tracking)
"""Which ask a process of its own for what needs torch."""


def in_this_process(verb, request):
    """What `child.heavy` asks a child process for."""
    return json.loads(json.dumps(verbs.answer(verb, request, sys.stdout)))


class Lent:
    """A node that stays open."""

    def __init__(self, node):
        self.node = node

    def __getattr__(self, name):
        return getattr(self.node, name)

    def close(self):
        """Left to whoever lent it."""


def typed(*words, node=None):
    """`launcher WORDS`: exit code and output as `subprocess.run` gives them; ranks are forked from `node`, if given."""
    words, out, err, code = [str(word) for word in words], io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        signals_put_back(),
    ):
        for module in COMPUTES:
            patch.setattr(module, "heavy", in_this_process)
        if node is not None:
            patch.setattr(run.Node, "open", lambda *_: Lent(node))
        try:
            app.main(words)
        except SystemExit as ended:
            code = ended.code
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
