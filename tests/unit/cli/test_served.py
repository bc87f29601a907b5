"""`launcher tensorboard` ends with its server, and its port is free, however it is ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVER = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
SERVE = """
import sys
from launcher.cli import runs as watch
sys.exit(watch._served([sys.executable, "-c", sys.argv[1], sys.argv[2]]))
"""


def taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_it_is(wanted: bool, port: int) -> None:
    deadline = time.monotonic() + 60
    while taken(port) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)]
)
def test_its_server_ends_with_it(tmp_path: Path, number: int, code: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, SERVER, str(port)],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (1, 2, 15)] and None,
    )
    try:
        wait_until_it_is(True, port)
        process.send_signal(number)
        assert process.wait(60) == code
        wait_until_it_is(False, port)
    finally:
        process.kill()
