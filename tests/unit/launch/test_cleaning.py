"""`launcher clean`: lists first, removes what is said, and never what is at work or no run."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_runs import finished, made

from launcher.cli.clean import _clean
from launcher.cluster import slurm
from launcher.cluster.scheduler import Queued
from launcher.errors import BackendError, LauncherError
from launcher.host import processes
from launcher.json_files import write_json
from launcher.launch import cleaning
from launcher.runs import driver
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`done`, which has finished, and `half`, which was killed; both have a checkpoint."""
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "runs"
    for number, (name, outcome) in enumerate({"done": finished(0.5, 0.5), "half": None}.items()):
        folder = made(root, name, number, {}, outcome)
        step = folder.attempt(1).path / "checkpoints/step-00000010"
        step.mkdir(parents=True)
        (step / "weights.safetensors").write_bytes(b"x" * 100_000)
    return root


def cleaned(runs: Path, *names: str, **asked: Any) -> None:
    given = {"checkpoints": False, "cache": False, "days": 0.0, "yes": False, "as_json": False, **asked}
    assert _clean(list(names), runs=runs, **given) == 0


def test_nothing_goes_unless_it_is_said(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cleaned(runs, "done", "half")
    told = capsys.readouterr().out
    assert "can be removed: add --yes" in told and str(runs / "done") in told
    cleaned(runs, checkpoints=True)
    assert sorted(path.name for path in runs.iterdir()) == ["done", "half"]
    assert len(list(runs.rglob("weights.safetensors"))) == 2
    with pytest.raises(LauncherError, match="nothing was named for removal"):
        cleaned(runs)
    with pytest.raises(BackendError, match="nope"):
        cleaned(runs, "nope", yes=True)


def test_runs_go_by_name_and_pattern(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "notes").mkdir()
    (runs / "notes/plan.json").write_text("{}")
    cleaned(runs, "*", yes=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [path.name for path in runs.iterdir()] == ["notes"], "what has no recipe.json is no run of ours"
    assert told["removed"] is True and told["bytes"] > 200_000
    kept = {Path(item["path"]).name: item["kept"] for item in told["items"]}
    assert kept == {"done": None, "half": None, "notes": "it is not a run: plan.json or recipe.json is missing"}


def test_checkpoints_go_where_the_model_is_saved(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cleaned(runs, checkpoints=True, yes=True)
    assert not (runs / "done/attempts/1/checkpoints").exists() and (runs / "done/attempts/1/outcome.json").is_file()
    assert len(list((runs / "half").rglob("weights.safetensors"))) == 1
    assert "stays: it has not finished" in capsys.readouterr().out


def test_what_is_at_work_stays(runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    driver = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        about = {
            "pid": driver.pid,
            "started": processes._start_ticks(driver.pid),
            "boot": processes._boot(),
            "host": "h",
        }
        write_json(runs / "half/lease.json", about)
        write_json(runs / "done/job.json", {"job": 7})
        monkeypatch.setattr(slurm, "look_up", lambda number: Queued("7", "PENDING", "Priority", 0, ""))
        cleaned(runs, "half", "done", yes=True)
        told = capsys.readouterr().out
        assert "stays: a process here drives it" in told and "stays: its job 7 is pending" in told
        assert sorted(path.name for path in runs.iterdir()) == ["done", "half"]
        item = cleaning.Item(runs / "half", "run", 1)  # it had begun after the look
        with pytest.raises(BackendError, match="run half stays: a process here drives it"):
            cleaning.remove(item)
    finally:
        driver.communicate(b"\n")
    cleaned(runs, "half", yes=True)
    assert [path.name for path in runs.iterdir()] == ["done"]


def test_an_array_goes_with_its_last_run(runs: Path) -> None:
    (runs / "sweep").mkdir()
    write_json(runs / "sweep/array.json", {"runs": [str(runs / "done"), str(runs / "half")], "job": 5})
    cleaned(runs, "done", yes=True)
    assert (runs / "sweep/array.json").is_file()
    cleaned(runs, "sweep", "half", yes=True)
    assert list(runs.iterdir()) == []


def test_of_the_cache_goes_what_was_not_used_for_long(runs: Path, tmp_path: Path) -> None:
    cache, now = tmp_path / "cache", time.time()
    ages = {"old": 40, "fresh": 1, "used": 40, "mapped": 40, "locked": 40}
    for name, days in ages.items():
        folder = cache / "prepared" / name
        folder.mkdir(parents=True)
        (folder / "train.safetensors").write_bytes(b"x" * 5000)
        folder.with_suffix(".lock").touch()
        for path in (folder.with_suffix(".lock"), folder):
            os.utime(path, (now - days * cleaning.DAY,) * 2)
    (cache / "fasttext").mkdir()
    (cache / "fasttext/a.bin").write_bytes(b"x")
    os.utime(cache / "fasttext/a.bin", (now - 31 * cleaning.DAY,) * 2)
    plan = json.loads((runs / "half/plan.json").read_text())
    write_json(runs / "half/plan.json", {**plan, "prepared": str(cache / "prepared/used")})
    driver.take_lease(RunFolder(runs / "half"))
    with (cache / "prepared/mapped/train.safetensors").open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with (cache / "prepared/locked.lock").open("r") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackendError, match="it is being prepared now"):
            cleaned(runs, cache=True, days=30.0, yes=True)
    view.close()
    assert {path.name for path in (cache / "prepared").iterdir() if path.is_dir()} == {
        *("fresh", "used", "mapped", "locked")
    }
    assert not (cache / "fasttext/a.bin").exists()
