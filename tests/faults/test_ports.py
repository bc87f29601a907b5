"""A run on one node listens on loopback at most, and leaves no secret of the environment in its folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from scene import Launched, Scene

Begin = Callable[..., Launched]
LISTENING = "0A"


def listeners(pids: list[int]) -> list[str]:
    """Local addresses (hex, as the kernel prints them) on which these processes listen."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENING and words[9] in inodes:
                found.append(words[1].split(":")[0])
    return found


def on_loopback(address: str) -> bool:
    return address == "0100007F" or address == "00000000000000000000000001000000"


def test_the_check_sees_an_open_port() -> None:
    with socket.create_server(("0.0.0.0", 0)):
        found = listeners([os.getpid()])
    assert any(not on_loopback(address) for address in found)


def test_ranks_listen_on_loopback_only(slow: Scene, begin: Begin) -> None:
    slow.environment["HF_TOKEN"] = "hf_canary_4711"
    launched = begin("r", "--processes", 2)
    launched.wait_for_step(5)
    processes = [launched.process.pid, *launched.left_over()]
    assert len(processes) == 5, "launcher, nursery, its spare and two ranks"
    found = listeners(processes)
    assert found, "gloo's ranks listen for each other"
    assert all(on_loopback(address) for address in found), found
    launched.signal(15)
    assert launched.end() == 75
    written = [path for path in launched.path.rglob("*") if path.is_file()]
    assert len(written) > 8
    assert not [path for path in written if b"hf_canary_4711" in path.read_bytes()]
