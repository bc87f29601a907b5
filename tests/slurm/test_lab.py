"""The lab itself: its nodes work, its faults are real, and nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lab import PATIENCE, SCRIPT, Lab, processes_of, wait_until

SESSION = """
import time
from lab import Lab

own = Lab(nodes=2)
own.run("sbatch", "--nodes=2", "--output=/dev/null", "--wrap", "srun sleep 1000")
print(own.folder, flush=True)
time.sleep(1000)
"""
"""A session with a job at work."""


def test_two_nodes_are_idle_and_run_commands(lab: Lab) -> None:
    states = lab.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T %G").stdout.splitlines()
    assert states == ["node1 idle gpu:2", "node2 idle gpu:2"]
    assert sorted(lab.run("srun", "--nodes=2", "hostname").stdout.split()) == ["node1", "node2"]


def test_its_hosts_share_the_disk_and_reach_each_other_and_nobody_else(lab: Lab) -> None:
    told = lab.run("srun", "--nodes=2", "cat", SCRIPT).stdout
    assert told.count("#!/usr/bin/env bash") == 2
    assert lab.run("ip", "route", host="node1").stdout.split()[:3] == ["10.77.0.0/24", "dev", "eth0"]
    assert "default" not in lab.run("ip", "route", host="node1").stdout


def test_a_job_sees_the_gpus_it_was_given(lab: Lab) -> None:
    told = lab.run("srun", "--gpus-per-node=1", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES").stdout.strip()
    assert told in ("0", "1")


@pytest.mark.usefixtures("possible")
def test_it_goes_down_without_a_trace_when_its_session_is_killed() -> None:
    before = set(Path("/sys/class/net").iterdir())
    words = [sys.executable, "-c", SESSION]
    session = subprocess.Popen(words, cwd=SCRIPT.parent, stdout=subprocess.PIPE, text=True)
    try:
        assert session.stdout is not None
        folder = Path(session.stdout.readline().strip())
        wait_until(lambda: sum("sleep 1000" in line for line in processes_of(folder)) >= 2, "the job's two tasks")
        assert sum("slurmd" in line for line in processes_of(folder)) >= 2
        assert sum("munged" in line for line in processes_of(folder)) == 1
    finally:
        session.send_signal(signal.SIGKILL)
        session.wait(PATIENCE)
    wait_until(lambda: processes_of(folder) == [] and not folder.exists(), "the lab to go down")
    assert set(Path("/sys/class/net").iterdir()) == before
