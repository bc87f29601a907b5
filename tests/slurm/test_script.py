"""slurm/train.sbatch: one argument, one file to source, and nothing in a name is ever run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import values
from lab import Lab

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "slurm" / "train.sbatch"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A folder whose python3 writes down the words that it was started with, one file each time."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" >"{folder}/words"\n')
    python.chmod(0o755)
    return folder


def start(folder: object, told: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{told}:{os.environ['PATH']}", **more}
    return subprocess.run(["bash", SCRIPT, str(folder)], env=environment, capture_output=True, text=True, cwd=told)


def test_a_run_folder_of_any_name_is_one_word_and_nothing_of_it_is_run(told: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    tried = 0
    for name in values(canary):
        if "\0" in name or not name or len(name) > 250 or name.startswith(("/", "..")):
            continue
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        for given in (str(folder), name):  # as a path of ours, and bare: it may begin with a dash
            done = start(given, told)
            assert done.returncode == 0, (given, done.stderr)
            assert (told / "words").read_bytes().split(b"\0") == [
                b"-P",
                b"-m",
                b"launcher.jobs.batch",
                given.encode(),
                b"",
            ]
        tried += 1
    assert tried >= 200
    assert not canary.exists()
    assert sorted(path.name for path in told.iterdir()) == ["python3", "words"]


def test_the_set_up_file_is_sourced_first_and_its_failure_ends_the_job(told: Path, tmp_path: Path) -> None:
    run = tmp_path / "a run; touch x"
    run.mkdir()
    (run / "setup.sh").write_text(f"export SITE=here\necho $SITE >{told}/site\n")
    assert start(run, told).returncode == 0
    assert (told / "site").read_text() == "here\n"
    (told / "words").unlink()
    (run / "setup.sh").write_text("return 3\n")
    done = start(run, told)
    assert done.returncode == 1
    assert f"{run}/setup.sh failed" in done.stderr
    assert not (told / "words").exists()


def test_without_a_folder_it_says_how_to_call_it(told: Path) -> None:
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True)
    assert done.returncode != 0
    assert "usage: sbatch train.sbatch RUN_FOLDER" in done.stderr


def test_in_a_real_job_hostile_folders_stay_names(lab: Lab, tmp_path: Path) -> None:
    """Some of each kind, through the real sbatch to a node: the job finds no run there, and runs nothing."""
    canary = tmp_path / "canary"
    names = [value for value in values(canary) if value and "\0" not in value and len(value) < 250][::25]
    assert len(names) >= 8
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    logs = {}
    for count, name in enumerate(names):
        folder = tmp_path / "runs" / f"{count} {name}"
        folder.mkdir(parents=True)
        log = tmp_path / f"{count}.log"
        words = ["sbatch", "--parsable", f"--output={log}", SCRIPT, folder]
        logs[lab.run(*words, cwd=ROOT, PATH=path).stdout.strip()] = log
    for number, log in logs.items():
        assert lab.wait_for_job(number)["ExitCode"] == "4:0", log.read_text()
        assert "there is no run in this folder" in log.read_text()
    assert not canary.exists()


def test_a_job_is_warned_before_its_time_is_over_whoever_submits_it() -> None:
    assert "\n#SBATCH --signal=B:USR1@120\n" in SCRIPT.read_text()


def test_outside_of_slurm_the_driver_says_where_it_belongs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "launcher.jobs.batch", str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, "there is no run in this folder" in done.stderr) == (4, True)
