"""One machine looked at before its ranks start: each promise broken once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import BackendError, Problem
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.launch import preflight
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.plan.plan import Plan
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_folder import RunFolder

FACTS = Facts(cores=8, memory_bytes=1 << 34)


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    made = RunFolder(tmp_path / "run").attempt(1)
    made.path.mkdir(parents=True)
    return made


@pytest.fixture
def plan(loaded: LoadedRecipe, tmp_path: Path) -> Plan:
    (tmp_path / "facts.json").write_text("{}")
    prepared = {"folder": str(tmp_path), "rows": {"train": 100}}
    return planning.make(
        loaded, FACTS, Placement(processes=2, nodes=2, device="cpu"), prepared, machine_facts.versions()
    )


def wrong(plan: Plan, attempt: AttemptFolder) -> list[str]:
    with pytest.raises(BackendError) as caught:
        preflight.check(plan, attempt, 1)
    return [problem.what for problem in caught.value.problems]


def test_a_machine_as_promised_is_told_in_one_line(plan: Plan, attempt: AttemptFolder) -> None:
    told = preflight.check(plan, attempt, 1)
    assert told.startswith("preflight ")
    assert f"{len(plan.versions)} packages as planned, run folder written in " in told
    assert "\n" not in told
    assert list(attempt.path.iterdir()) == [], "the probe is taken away"


def test_all_that_is_wrong_is_told_at_once(plan: Plan, attempt: AttemptFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node2")
    usage = shutil.disk_usage(attempt.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10 << 20))
    monkeypatch.setattr(preflight, "written", lambda folder, number: (0.0, "read-only file system"))
    monkeypatch.setattr(machine_facts, "facts", lambda: replace(FACTS, gpus=("H100",)))
    versions = {**plan.versions, "torch": "1.0", "jax": "0.1"}
    plan = replace(plan, versions=versions, device="cuda", prepared="/nowhere")
    assert wrong(plan, attempt) == [
        "node2 has other libraries than the plan: "
        f"torch is {machine_facts.versions()['torch']}, planned with 1.0; jax is not installed, planned with 0.1",
        "node2 sees 1 GPUs, but 2 are promised to its processes",
        "node2 does not see the prepared data",
        "node2 cannot write into the run folder: read-only file system",
        "node2 has 10 MB of disk left for the run folder",
    ]


def test_less_memory_than_foreseen_is_said_and_no_reason_to_end(
    plan: Plan, attempt: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 3 << 30)
    tight = "3.2 GB of memory free, which is less than the plan foresees"
    assert tight in preflight.check(replace(plan, memory={"total": 2 << 30}), attempt, 0)
    assert tight not in preflight.check(replace(plan, memory={"total": 1 << 30}), attempt, 0)


def test_a_folder_that_is_gone_cannot_be_written(tmp_path: Path) -> None:
    assert preflight.written(tmp_path / "gone", 0) == (0.0, "no such file or directory")


def test_what_cannot_be_written_is_said_aloud_and_heard() -> None:
    error = BackendError([Problem("node2 cannot write", "/runs/a", "mend it"), Problem("and\nmore")])
    line = preflight.encode_problems(error)
    assert "\n" not in line
    assert preflight.decode_problems(line.encode()) == error.problems
    assert preflight.decode_problems(b"preflight node2: 8 packages as planned") == []
