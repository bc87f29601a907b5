"""`launcher run --machines`: the same line typed on two hosts of the lab, without Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos import brake
from lab import PATIENCE, SCRIPT, wait_until
from work import LONG, STEPS, Work

HEAD = "node1:29500"


class Typed:
    """A line typed on one host; what it prints goes to a file."""

    def __init__(self, work: Work, rank: int, *words: object, machines: int = 2):
        self.rank, self.path = rank, work.folder / f"machine-{rank}-{len(list(work.folder.glob('machine-*')))}.out"
        options = ["--machines", machines, "--machine-rank", rank, "--head", HEAD, "--device", "cpu", "--wait", 60]
        line = [sys.executable, "-m", "launcher", "run", "tiny.py", "--name", "a", *options, *words]
        with self.path.open("w") as out:
            self.process = subprocess.Popen(
                [SCRIPT, "exec", f"node{rank + 1}", *map(str, line)],
                env={**work.lab.environment, **work.environment},
                cwd=work.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.folder = work.folder

    def end(self) -> int:
        return self.process.wait(PATIENCE)

    def told(self) -> str:
        return self.path.read_text()

    def signal(self, number: int) -> None:
        """To the launcher itself, as a terminal on that host would send it."""
        mine = f"--machine-rank\0{self.rank}\0"
        (pid,) = [pid for pid in pids(self.folder) if mine in pid[1] and pid[1].startswith(sys.executable)]
        os.kill(pid[0], number)


def pids(folder: Path) -> Iterator[tuple[int, str]]:
    """Process numbers and command lines of what runs in that folder."""
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                yield int(process.name), (process / "cmdline").read_text()
        except OSError:
            continue


@pytest.fixture
def type_on(work: Work) -> Iterator[Callable[..., Typed]]:
    made: list[Typed] = []

    def typed(rank: int, *words: object, **more: int) -> Typed:
        made.append(Typed(work, rank, *words, **more))
        return made[-1]

    yield typed
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
    for pid, _ in pids(work.folder):
        os.kill(pid, signal.SIGKILL)


def test_two_machines_train_as_one_process_does_and_turn_away_what_is_typed_otherwise(
    work: Work, type_on: Callable[..., Typed], alone: list[float]
) -> None:
    first = type_on(0)
    wait_until(lambda: "waits at node1:29500" in first.told(), "machine 0 to listen")
    wrong = [type_on(1, machines=4), type_on(1, "--set", "training.seed=5")]
    assert [one.end() for one in wrong] == [3, 3], [one.told() for one in wrong]
    assert "--machines is 4 there and 2 on machine 0" in wrong[0].told()
    assert "the recipe has other values there than on machine 0" in wrong[1].told()
    second = type_on(1)
    assert (first.end(), second.end()) == (0, 0), first.told() + second.told()
    assert first.told().count("is turned away") == 2
    assert "machine 1 is here: node2" in first.told()
    assert "preflight node1: " in first.told()
    assert "preflight node2: " in second.told()
    assert "all-reduce of 2 processes in " in first.told()
    assert "run a: finished after step 21" in second.told()
    outcome = json.loads((work.runs / "a" / "outcome.json").read_text())
    assert (outcome["status"], outcome["world_size"], outcome["strategy"]) == ("finished", 2, "ddp")
    assert work.losses("a") == pytest.approx(alone, abs=1e-5)
    assert not list(work.runs.glob(".machines-*"))


def test_ctrl_c_on_one_machine_saves_and_ends_all_and_one_that_vanishes_is_named(
    work: Work, type_on: Callable[..., Typed]
) -> None:
    brake(work)  # it is not at its end before it is hit
    both = [type_on(rank, *LONG) for rank in (0, 1)]
    work.wait_for_steps("a", 5)
    both[1].signal(signal.SIGINT)
    assert [one.end() for one in both] == [75, 75], both[0].told() + both[1].told()
    stopped = json.loads((work.runs / "a" / "outcome.json").read_text())
    assert stopped["status"] == "stopped"
    assert 5 <= stopped["steps"] < STEPS
    assert f"--resume --machines 2 --machine-rank 0 --head {HEAD}" in both[0].told()
    both = [type_on(rank, *LONG, "--resume") for rank in (0, 1)]
    wait_until(lambda: f"resumed at step {stopped['steps']}" in both[0].told(), "the resumed run")
    seen = stopped["steps"]
    work.wait_for_steps("a", seen + 5)
    both[1].signal(signal.SIGKILL)
    assert both[0].end() == 5, both[0].told()
    assert "launcher: machine 1 (node2) is gone: " in both[0].told()
    assert json.loads((work.runs / "a" / "outcome.json").read_text())["status"] == "failed"


def test_a_folder_that_only_one_machine_can_write_is_refused_before_there_is_a_run(
    work: Work, type_on: Callable[..., Typed]
) -> None:
    work.runs.mkdir()
    work.lab.run("mount", "--bind", work.runs, work.runs, host="node2")
    try:
        work.lab.run("mount", "-o", "remount,ro,bind", work.runs, host="node2")
        both = [type_on(rank) for rank in (0, 1)]
        assert [one.end() for one in both] == [4, 4], both[0].told() + both[1].told()
        for one in both:
            assert "node2 cannot use machine 0's runs folder: read-only file system" in one.told()
    finally:
        work.lab.run("umount", work.runs, host="node2")
    assert list(work.runs.iterdir()) == []
