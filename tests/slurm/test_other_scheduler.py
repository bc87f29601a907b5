"""Another scheduler is one more file in `launcher/cluster`, and a line of its table: a run goes through all its verbs.

It needs no Slurm and no root: the toy's jobs are processes of this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import PATIENCE, wait_until
from work import ON_CPU, RECIPE, ROOT, write_texts

TOY = Path(__file__).with_name("heap.py")


class Cluster:
    """A folder to work in, and a launcher that has the toy among its schedulers: all else of it is linked."""

    def __init__(self, folder: Path, cache: Path):
        self.folder, self.run, self.heap = folder, folder / "runs" / "a", folder / "heap"
        self.heap.mkdir()
        package = folder / "package" / "launcher"
        (package / "cluster").mkdir(parents=True)
        for path in (ROOT / "launcher").iterdir():
            if path.name != "cluster":
                (package / path.name).symlink_to(path)
        for path in (*(ROOT / "launcher" / "cluster").iterdir(), TOY):
            if path.name != "schedulers.py":
                (package / "cluster" / path.name).symlink_to(path)
        known = (ROOT / "launcher" / "cluster" / "schedulers.py").read_text(encoding="utf-8")
        line = 'SCHEDULERS: dict[str, Scheduler] = {"slurm": slurm'
        assert known.count(line) == 1
        known = known.replace(line, f'{line}, "heap": heap').replace("import slurm", "import heap, slurm")
        (package / "cluster" / "schedulers.py").write_text(known, encoding="utf-8")
        (folder / "tiny.py").write_text(RECIPE)
        write_texts(folder)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM_")},
            "PATH": str(Path(sys.executable).parent),  # no Slurm lies there
            "PYTHONPATH": str(folder / "package"),
            "RECIPE_LAUNCHER_CACHE": str(cache),
            "HEAP": str(self.heap),
            "HF_HUB_OFFLINE": "1",
        }

    def launch(self, *words: object) -> str:
        """`launcher WORDS`, which must end well; what it prints."""
        command = [sys.executable, "-m", "launcher", *map(str, words)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stands(self) -> str:
        """What `launcher status` says of the run."""
        return str(json.loads(self.launch("status", "a", "--json"))["status"])


@pytest.fixture
def cluster(tmp_path: Path, cache: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, cache)
    yield made
    for path in made.heap.iterdir():
        if path.name.isdigit() and Path(f"/proc/{path.read_text()}").exists():
            os.kill(int(path.read_text()), 9)


def test_a_run_is_submitted_watched_cancelled_and_resumed_on_a_scheduler_that_nobody_knows(cluster: Cluster) -> None:
    asked = ("submit", "tiny.py", "--name", "a", *ON_CPU, "--processes-per-node", 2, "--set", "training.epochs=200")
    assert cluster.launch(*asked, "--dry-run").startswith("heap --name=a ")
    assert "job 1; look at it with: launcher status a" in cluster.launch(*asked)
    assert json.loads((cluster.run / "job.json").read_text())["scheduler"] == "heap"
    assert "job 1 of Heap: pending on this one: nobody has lit it" in cluster.launch("status", "a")

    (cluster.heap / "lit").touch()
    wait_until(lambda: (cluster.run / "events.jsonl").is_file(), "the first step")
    assert cluster.stands() == "running"
    assert "job 1 was told to save and end" in cluster.launch("cancel", "a")
    wait_until(lambda: cluster.stands() == "stopped", "the run to save and end")
    stopped = json.loads((cluster.run / "outcome.json").read_text())["steps"]
    assert 0 < stopped < 4200

    again = cluster.launch("resume", "a")
    assert "job 2 goes on with run a" in again
    wait_until(lambda: f"resumed at step {stopped}" in (cluster.run / "slurm.log").read_text(), "the second job")
    cluster.launch("cancel", "a")
    wait_until(lambda: cluster.stands() == "stopped", "the run to save and end again")
    assert json.loads(cluster.launch("list", "--json"))["runs"][0]["status"] == "stopped"
