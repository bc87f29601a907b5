"""What `launcher doctor` asks of torch: real forked processes, and what it says when something is broken."""

import json
import subprocess
import sys
from datetime import timedelta

import pytest
import torch

from launcher import child
from launcher.errors import WorkerError
from launcher.host import network
from launcher.training.distributed import allreduce_check, world

BROKEN = """
import json, sys
from launcher.training import self_check
from launcher.training.distributed import allreduce_check
real = allreduce_check.measured
allreduce_check.measured = lambda world: 1 / 0  # in both: one that went on would be gone before the other has met it
told = {"all-reduce": self_check._together(0)}
allreduce_check.measured = real
import torch
torch.version.cuda = None
told["torch"] = self_check._build(torch, 1)
sys.modules["deepspeed"] = None
told["deepspeed"] = [self_check._deepspeed(0)]
sys.modules["torch"] = None
told["import"] = self_check.diagnose(0)
print(json.dumps(told))
"""


def test_two_forked_processes_add_up_and_the_rest_is_there():
    told = {one["name"]: one for one in child.heavy("diagnose", {"gpus": 0})}
    assert {name: one["grade"] for name, one in told.items()} == {"all-reduce": "ok", "torch": "ok", "deepspeed": "ok"}
    assert "all-reduce of 2 processes in " in told["all-reduce"]["what"]


def test_each_that_is_broken_is_told():
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, timeout=120)
    told = {name: found[0] for name, found in json.loads(done.stdout.splitlines()[-1]).items()}
    assert {name: found["grade"] for name, found in told.items()} == dict.fromkeys(told, "bad")
    assert "cannot add up over gloo: ZeroDivisionError" in told["all-reduce"]["what"]
    assert told["torch"]["what"].endswith("built for CPUs, but there are 1 GPUs")
    assert told["deepspeed"]["what"].startswith("it cannot be imported: ")
    assert told["import"]["what"].startswith("it cannot be imported: ")


def test_a_sum_that_is_wrong_ends_the_run(monkeypatch):
    alone = world.World(0, 0, 1, torch.device("cpu"))
    assert allreduce_check.measured(alone).startswith("all-reduce of 1 processes in ")
    monkeypatch.setattr(world.World, "total", lambda self, values: values + 1)
    with pytest.raises(WorkerError, match="an all-reduce gave 2 where the sum is 1"):
        allreduce_check.measured(alone)


def test_a_port_that_is_closed_to_a_rank_is_told_of(monkeypatch):
    monkeypatch.setattr(world, "TIME_TO_MEET", timedelta(seconds=1))
    with pytest.raises(WorkerError, match="rank 1 cannot reach rank 0: "):
        world._meet(("127.0.0.1", network.free_port("127.0.0.1")), 1, 2)
