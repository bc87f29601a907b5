"""Every command of slurm/README.md, typed as it is written, in a lab without GPUs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from lab import SCRIPT, Lab
from work import ROOT, Work

BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def commands() -> list[str]:
    text = (ROOT / "slurm" / "README.md").read_text(encoding="utf-8")
    return [line for block in BLOCK.findall(text) for line in block.strip().splitlines()]


@pytest.fixture
def tree(wide: Lab, tmp_path: Path, cache: Path) -> Work:
    """A folder that looks like the repository, with a small recipe under the name that is shown."""
    work = Work(wide, tmp_path, cache)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "tiny.py").rename(tmp_path / "recipes" / "reviews_zh.py")
    for name in ("slurm", "accelerate_configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    return work


def typed(work: Work, line: str, host: str = "ctl") -> str:
    """What it prints; the words are those that a shell makes of the line."""
    return work.lab.run(*shlex.split(line), host=host, cwd=work.folder, **work.environment).stdout


def the_job(work: Work, told: str) -> str:
    number = told.strip().rpartition(" ")[2]
    done = work.lab.wait_for_job(number)
    assert done["ExitCode"] == "0:0", (done, told)
    return number


def outcome(work: Work, name: str) -> tuple[str, int, str]:
    told = json.loads((work.runs / name / "outcome.json").read_text())
    return told["status"], told["world_size"], told["strategy"]


def test_every_command_works_as_written(tree: Work, alone: list[float]) -> None:
    shown = commands()
    assert len(shown) == 8
    dry, submit, status, logs, by_folder, plain, *machines = shown
    assert typed(tree, dry).startswith("sbatch --parsable")
    assert not tree.runs.exists()
    number = re.search(r"job (\d+)", typed(tree, submit))
    assert number is not None
    tree.lab.wait_for_job(number[1])
    assert outcome(tree, "a") == ("finished", 4, "ddp")
    log = tree.log("a")
    assert [log.count(f"preflight node{k}: ") for k in (1, 2)] == [1, 1], log
    assert log.count("all-reduce of 4 processes in ") == 1
    assert "finished" in typed(tree, status)
    assert "ddp in force" in typed(tree, logs)
    the_job(tree, typed(tree, by_folder))
    assert "run a is finished: nothing is left to do" in tree.log("a") + said(tree)
    submitted = typed(tree, plain)  # the machines are typed at meanwhile
    both = [
        subprocess.Popen(
            [SCRIPT, "exec", f"node{rank + 1}", *shlex.split(line)],
            env={**tree.lab.environment, **tree.environment},
            cwd=tree.folder,
            stdout=subprocess.DEVNULL,
        )
        for rank, line in enumerate(machines)
    ]
    the_job(tree, submitted)
    assert outcome(tree, "plain") == ("finished", 4, "ddp")
    assert [one.wait(120) for one in both] == [0, 0]
    assert outcome(tree, "b") == ("finished", 4, "ddp")
    losses = tree.losses("a")
    assert losses == pytest.approx(alone, abs=1e-5)
    for name in ("plain", "b"):
        assert tree.losses(name) == pytest.approx(losses, abs=1e-6), name


def said(work: Work) -> str:
    """What jobs that were submitted by hand print, where sbatch puts it."""
    return "".join(path.read_text() for path in work.folder.glob("slurm-*.out"))
