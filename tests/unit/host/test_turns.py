"""One run, several who open it at the same instant: one gets it, the others are told who has it."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import time
from collections import Counter
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import BackendError, LauncherError
from launcher.host import machine_facts, turns
from launcher.host import processes as living
from launcher.host.facts import Facts
from launcher.json_files import write_json
from launcher.launch import opening
from launcher.launch.request import Request
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.plan.plan import Plan
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs.run_folder import RunFolder

AT_ONCE, ROUNDS = 3, 20


@pytest.fixture
def plan(tmp_path: Path, loaded: LoadedRecipe) -> Plan:
    facts, prepared = Facts(cores=8, memory_bytes=1 << 34), {"folder": str(tmp_path), "rows": {"train": 100}}
    return planning.make(loaded, facts, Placement(processes=1, device="cpu"), prepared, machine_facts.versions())


def stopped_run(path: Path, plan: Plan) -> RunFolder:
    """A run whose driver has died, so that its lease is left."""
    folder = RunFolder(path)
    folder.new_attempt()
    write_json(folder.plan, plan.document())
    write_json(folder.outcome, {"status": "stopped"})
    write_json(folder.attempt(1).outcome, {"status": "stopped"})
    write_json(folder.lease, {**living.identity(), "pid": 1, "started": 1})
    return folder


def race(rounds: int, open_one: Any) -> list[list[tuple[int, str]]]:
    """Of each round what became of each process: its number, and what it was told (nothing: it has the run)."""
    context = multiprocessing.get_context("fork")
    barrier, told = context.Barrier(AT_ONCE), context.Manager().list()

    def compete(barrier: Barrier) -> None:
        for number in range(rounds):
            barrier.wait()
            try:
                open_one(number)
                told.append((number, os.getpid(), ""))
            except LauncherError as error:
                told.append((number, os.getpid(), str(error)))
            barrier.wait()  # the winner lives until all have tried

    processes = [context.Process(target=compete, args=(barrier,)) for _ in range(AT_ONCE)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * AT_ONCE
    return [[(pid, what) for n, pid, what in told if n == number] for number in range(rounds)]


@pytest.mark.parametrize("how", ["resume", "overwrite", "new"])
def test_one_wins_and_the_others_are_told_by_whom(tmp_path: Path, loaded: LoadedRecipe, plan: Plan, how: str) -> None:
    request = Request(loaded.path, resume=how == "resume", overwrite=how == "overwrite")
    folders = [RunFolder(tmp_path / "runs" / f"r{number}") for number in range(ROUNDS)]
    if how != "new":
        folders = [stopped_run(folder.path, plan) for folder in folders]
    for number, became in enumerate(race(ROUNDS, lambda n: opening.open_folder(folders[n], request, loaded, plan))):
        ((winner, _),) = [(pid, what) for pid, what in became if not what]
        losers = [what for _, what in became if what]
        taken = "there is a run" if how == "new" else f"run r{number} is being driven by process {winner}"
        assert len(losers) == AT_ONCE - 1 and all(taken in what for what in losers), became
        assert [attempt.number for attempt in folders[number].attempts()] == ([1, 2] if how == "resume" else [1])
    assert not list((tmp_path / "runs").glob(".*")), "no lock is left"


def test_a_run_that_has_finished_meanwhile_is_not_begun_again(tmp_path: Path, loaded: LoadedRecipe, plan: Plan) -> None:
    folder = stopped_run(tmp_path / "r", plan)
    write_json(folder.attempt(1).outcome, {"status": "finished"})
    with pytest.raises(BackendError, match="run r is finished"):
        opening.open_folder(folder, Request(loaded.path, resume=True), loaded, replace(plan))
    assert len(folder.attempts()) == 1


def test_the_lock_is_let_go_of_when_its_holder_dies(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with turns.taken(tmp_path / "r"):
            os._exit(0)
    os.waitpid(child, 0)
    with turns.taken(tmp_path / "r"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_follows_no_link_and_cuts_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("kept")
    (tmp_path / ".r.lock").symlink_to(mine)
    with turns.taken(tmp_path / "r"):
        pass
    assert mine.read_text() == "kept"


def test_one_who_waits_too_long_says_for_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.2)
    with turns.taken(tmp_path / "r"):
        before = time.monotonic()
        with pytest.raises(BackendError, match=f"at work on {tmp_path}/r for 0 s"), turns.taken(tmp_path / "r"):
            pass
        assert time.monotonic() - before < 30
    with contextlib.suppress(BackendError), turns.taken(tmp_path / "r"):
        assert Counter(path.name for path in tmp_path.iterdir()) == {".r.lock": 1}


def test_another_users_run_is_not_replaced_and_it_is_said_whose_it_is(
    tmp_path: Path, loaded: LoadedRecipe, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "checkpoints")

    folder = stopped_run(tmp_path / "r", plan)
    monkeypatch.setattr("shutil.rmtree", refuse)
    owner = folder.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr("pwd.getpwuid", lambda user: {}[user])
    with pytest.raises(BackendError) as told:
        opening.open_folder(folder, Request(loaded.path, overwrite=True), loaded, plan)
    (problem,) = told.value.problems
    assert problem.what == f"run r cannot be replaced: permission denied; it belongs to user {owner}"
    assert (problem.where, problem.do) == ("checkpoints", "choose another --name")
