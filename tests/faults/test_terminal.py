"""A run and whoever started it: a hang-up, a closed terminal, a reader that leaves, no streams at all."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import sys
import time
from collections.abc import Callable

from proof import checkpoint_steps
from scene import PATIENCE, STEPS, Launched, Scene, lines_in, wait_until

Begin = Callable[..., Launched]


def test_signals_that_were_ignored_from_the_start_stay_ignored(slow: Scene, begin: Begin) -> None:
    slow.started_by = ("nohup", "sh", "-c", 'trap "" INT TERM; exec "$@"', "sh")
    launched = begin("r")
    launched.wait_for_step(5)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        launched.signal(number)
    launched.wait_for_step(15)
    (slow.folder / "brake").unlink()

    assert launched.end() == 0, launched.output()
    assert "stopping" not in launched.output()
    assert (slow.outcome("r")["status"], slow.outcome("r")["steps"]) == ("finished", STEPS)


def test_a_closed_terminal_saves_and_ends_truthfully(slow: Scene) -> None:
    (slow.folder / "brake").touch()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(slow.folder)
        words = ["-m", "launcher", "run", "tiny.py", "--name", "r", "--processes", "2"]
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.execve(sys.executable, [sys.executable, *words], slow.environment)
    run, deadline, seen = slow.runs / "r", time.monotonic() + PATIENCE, b""
    while lines_in(run / "events.jsonl") < 25:
        seen += os.read(terminal, 1 << 16)
        assert time.monotonic() < deadline, seen
    os.close(terminal)  # from now on every write of the launcher fails

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 75
    outcome = slow.outcome("r")
    assert outcome["status"] == "stopped" == slow.status("r")["status"]
    assert 25 <= outcome["steps"] < STEPS
    assert checkpoint_steps(run)[-1] == outcome["steps"]
    assert not (run / "lease.json").exists()


def test_a_reader_that_leaves_and_a_locale_without_chinese_cost_nothing_but_the_lines(scene: Scene) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    pipe = f'"{sys.executable}" -m launcher "$@" | head -3; exit ${{PIPESTATUS[0]}}'
    words = ("run", "tiny.py", "--name", "评论")
    done = scene.carry_out("bash", "-c", pipe, "bash", *words, environment=ascii_only)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (len(done.stdout.splitlines()), done.stderr) == (3, "")
    assert r"\u8bc4\u8bba" in done.stdout
    assert scene.outcome("评论")["status"] == "finished"

    listed = scene.carry_out("bash", "-c", pipe.replace("-3", "-0"), "bash", "list")
    assert (listed.returncode, listed.stderr) == (141, "")
    full = scene.carry_out("bash", "-c", f'"{sys.executable}" -m launcher list > /dev/full')
    assert full.returncode == 4
    assert full.stderr == "launcher: the answer could not be written: No space left on device\n"


def test_who_closes_the_streams_wants_none(scene: Scene) -> None:
    shell = f'exec "{sys.executable}" -m launcher run tiny.py --name r >&- 2>&- <&-'
    assert scene.carry_out("bash", "-c", shell).returncode == 0
    assert scene.outcome("r")["status"] == "finished"
    said = re.compile(rb"^launcher: ", re.MULTILINE)
    written = [path for path in scene.runs.rglob("*") if path.is_file() and said.search(path.read_bytes())]
    assert written == [], "what was to be shown is in no file of the run"


def test_a_follower_whose_reader_leaves_ends(slow: Scene, begin: Begin) -> None:
    launched = begin("r")
    launched.wait_for_step(1)
    shell = f'"{sys.executable}" -m launcher logs r --follow | head -1; exit ${{PIPESTATUS[0]}}'
    left = slow.carry_out("bash", "-c", shell)
    assert (left.returncode, left.stderr) == (141, "")
    assert not launched.ended()
    with contextlib.suppress(ProcessLookupError):
        launched.signal(signal.SIGTERM)
    wait_until(launched.ended, "the end")
