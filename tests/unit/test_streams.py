"""Streams that never end a process, and signals that stay ignored: each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PATIENT = "import sys; from launcher import streams; streams.be_patient(); "


def python(code: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The code in a fresh interpreter; `shell` are redirections as a shell takes them."""
    command = ["bash", "-c", f'exec "{sys.executable}" -c "$1" {shell}', "bash", code]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, timeout=60)


@pytest.mark.parametrize("shell", ["> /dev/full", ">&-", ">&- 2>&- <&-", "2>&-", "> /dev/full 2> /dev/full"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nothing_that_cannot_be_shown_ends_it(shell: str, unbuffered: str) -> None:
    say = "[print('x' * 5000, file=stream, flush=True) for stream in (sys.stdout, sys.stderr) for _ in range(3)]; "
    done = python(f"{PATIENT}{say}sys.exit(7)", shell, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 7


def test_no_file_is_taken_for_a_closed_stream(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    say = "import os, subprocess; print('shown'); sys.stdout.flush(); subprocess.run(['echo', 'shown too'])"
    done = python(f"{PATIENT}file = open({str(path)!r}, 'w'); {say}", ">&- 2>&- <&-")
    assert (done.returncode, path.read_text()) == (0, "")


def test_why_it_was_not_shown_is_known(tmp_path: Path) -> None:
    tell = "print('x'); found = streams.lost(); print(found and found.strerror, file=sys.stderr)"
    assert python(PATIENT + tell, "> /dev/full").stderr == b"No space left on device\n"
    assert python(PATIENT + tell).stderr == b"None\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_the_locale_lacks_is_escaped(encoding: str) -> None:
    done = python(f"{PATIENT}print('评' + chr(0xdc80)); print('论', file=sys.stderr)", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    shown = {"ascii": (b"\\u8bc4", b"\\u8bba"), "utf-8": ("评".encode(), "论".encode())}[encoding]
    assert (done.stdout, done.stderr) == (shown[0] + b"\\udc80\n", shown[1] + b"\n")


def test_a_reader_that_stands_still_does_not_hold_a_run_up() -> None:
    code = (
        f"{PATIENT}import time; streams.SECONDS_FOR_A_READER = 0.2; streams.wait_for_readers(False); "
        "[print('x' * 5000, flush=True) for _ in range(200)]; print('done', file=sys.stderr, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None and process.stdout is not None
    assert process.stderr.readline() == b"done\n"  # a million bytes are more than a pipe holds
    assert len(process.stdout.read()) < 200 * 5001
    assert process.wait(60) == 0


LISTEN = "import signal, time; from launcher.host.stop_requests import *; stop = StopRequests(); stop.listen(); "


def counted(signals: list[int], before: str, counts: list[int]) -> tuple[int, str]:
    """Send these to a fresh process, each when the one before is counted; its exit status, and what it says of them."""
    code = f"{LISTEN}print('ready', flush=True)\nwhile True: time.sleep(0.01); print(stop(), flush=True)"
    process = subprocess.Popen(
        ["sh", "-c", f'{before} exec "{sys.executable}" -c "$1"', "sh", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # what the tests themselves were started with is not what is asked here
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (1, 2, 15)] and None,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        for number, count in zip(signals, counts, strict=False):
            process.send_signal(number)
            while process.stdout.readline() != f"{count}\n":
                assert process.poll() is None
            told = {process.stdout.readline() for _ in range(20)}
            assert told == {f"{count}\n"}, "and it stays so"
        process.send_signal(signals[-1] if len(signals) > len(counts) else signal.SIGKILL)
        return process.wait(60), process.communicate()[1]
    finally:
        process.kill()


HUP, INT, TERM = signal.SIGHUP, signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("signals", "before", "counts"),
    [
        ([HUP, INT, TERM], 'trap "" HUP INT TERM;', [0, 0, 0]),
        ([HUP, INT], 'trap "" HUP;', [0, 1]),
        ([HUP, HUP], "", [1, 1]),
        ([INT, HUP], "", [1, 1]),
        ([HUP, TERM], "", [1, 2]),
        ([INT, TERM], "", [1, 2]),
        ([TERM, TERM, TERM], "", [1, 2, 3]),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, list) else str(value),
)
def test_what_counts_as_a_request(signals: list[int], before: str, counts: list[int]) -> None:
    status, complained = counted(signals, before, counts)
    assert status == -signal.SIGKILL
    assert complained.count("stopping: saving") == (counts[-1] > 0)
    assert complained.count("killing") == (counts[-1] > 1)


def test_a_third_ctrl_c_leaves_at_once() -> None:
    assert counted([INT, INT, INT], "", [1, 2])[0] == -signal.SIGINT
