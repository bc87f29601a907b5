"""A real Slurm of several hosts on this machine, held by a test session (see cluster.sh beside this file)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("cluster.sh")
PATIENCE = 240.0
"""No test waits longer for one thing to come true; none asserts how long it took."""


def why_not() -> str:
    """Why there can be no lab here, or nothing where there can."""
    done = subprocess.run([SCRIPT, "possible"], capture_output=True, text=True)
    if done.stdout.strip() or done.returncode != 0:
        return done.stdout.strip() or done.stderr.strip()
    done = subprocess.run([SCRIPT, "install"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"Slurm could not be installed: {done.stderr.strip().splitlines()[-1]}"


class Lab:
    """One cluster. A guardian takes it down when the session lets go of it, however the session ends."""

    def __init__(self, nodes: int = 2, gpus: int = 2):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-lab-"))
        self.folder.chmod(0o755)  # munged refuses a socket that others cannot reach
        size = {"SLURM_LAB_NODES": str(nodes), "SLURM_LAB_GPUS": str(gpus)}
        self.environment = {**os.environ, "SLURM_LAB": str(self.folder), **size}
        guard = ["bash", "-c", 'read -r _; exec "$0" down', str(SCRIPT)]
        self.guardian = subprocess.Popen(
            guard, stdin=subprocess.PIPE, env=self.environment, start_new_session=True, stderr=subprocess.DEVNULL
        )
        try:
            self.call("up")
        except BaseException:
            self.down()
            raise

    def call(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`cluster.sh WORDS`."""
        # daemons keep the streams of whoever started them: files can be left to them, pipes would be waited for
        with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as complained:
            command = [str(SCRIPT), *map(str, words)]
            code = subprocess.run(command, env=self.environment, stdout=told, stderr=complained).returncode
            told.seek(0)
            complained.seek(0)
            done = subprocess.CompletedProcess(command, code, told.read(), complained.read())
        assert code == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done

    def run(
        self, *words: object, host: str = "ctl", cwd: Path | None = None, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A command on one of the hosts, to its end."""
        done = subprocess.run(
            [str(SCRIPT), "exec", host, *map(str, words)],
            env={**self.environment, **environment},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done

    def job(self, number: object) -> dict[str, str]:
        """What Slurm says of a job."""
        words = self.run("scontrol", "-o", "show", "job", number).stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for_job(self, number: object) -> dict[str, str]:
        """The same, once the job is over."""
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
        wait_until(lambda: self.job(number)["JobState"] in over, f"job {number} to end")
        return self.job(number)

    def processes(self) -> list[str]:
        """Command lines of all living processes of this lab: its daemons, hosts and whatever runs on them."""
        return processes_of(self.folder)

    def down(self) -> None:
        """Take it down, and see that nothing is left of it."""
        assert self.guardian.stdin is not None
        self.guardian.stdin.close()
        code = self.guardian.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert code == 0, "cluster.sh down failed"
        assert self.processes() == []


def processes_of(lab: Path) -> list[str]:
    """Command lines of all living processes of the lab in that folder; its guardian, which names none, apart."""
    own, found = Path("/proc/self/ns/net").stat().st_ino, []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            settings = (folder / "environ").read_bytes().split(b"\0")
            elsewhere = (folder / "ns/net").stat().st_ino != own
        except (OSError, ValueError):
            continue
        if str(lab) in command or (f"SLURM_LAB={lab}".encode() in settings and elsewhere):
            found.append(command)
    return found


def wait_until(true: Callable[[], Any], what: str, seconds: float = PATIENCE, pause: float = 0.1) -> None:
    """Return when `true` says so; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(pause)
