"""A run that another machine drives, on a folder that both see: it is not taken for dead, replaced or gone on with."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from launcher.cli import control
from launcher.cli import runs as watch
from launcher.cli.summary import status_in_words
from launcher.cluster import slurm
from launcher.cluster.job_status import JobStatus
from launcher.cluster.scheduler import Scheduler, ThisJob
from launcher.errors import BackendError
from launcher.host import machine_facts
from launcher.host import processes as living
from launcher.host.facts import Facts
from launcher.jobs import batch
from launcher.json_files import write_json
from launcher.launch import opening, run_request, supervisor
from launcher.launch.request import Request
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs import driver
from launcher.runs.attempt import AttemptFolder
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

LONG_AGO = 100.0


@pytest.fixture
def folder(tmp_path: Path, loaded: LoadedRecipe) -> RunFolder:
    """A run of two ranks that node7 drives, in its first attempt; nothing has been heard of it for long."""
    folder = RunFolder(tmp_path / "runs" / "first")
    folder.new_attempt()
    facts, prepared = Facts(cores=8, memory_bytes=1 << 34), {"folder": str(tmp_path), "rows": {"train": 100}}
    placement = Placement(processes=2, strategy="ddp", device="cpu")
    write_json(folder.plan, planning.make(loaded, facts, placement, prepared, machine_facts.versions()).document())
    write_json(folder.lease, {**living.identity(), "boot": "0" * 8, "pid": 4242, "host": "node7"})
    rests(folder)
    return folder


def beats(folder: RunFolder, rank: int, ago: float = 1.0) -> None:
    beat = {"section": "training", "step": 3, "steps": 9, "time": time.time() - ago}
    write_json(folder.attempts()[-1].pulse(rank), beat)


def rests(folder: RunFolder, ago: float = LONG_AGO) -> None:
    """Its driver was last heard of so long ago."""
    os.utime(folder.lease, (time.time() - ago,) * 2)


def refusal(act: Callable[..., Any], *given: Any) -> tuple[str, str]:
    with pytest.raises(BackendError) as told:
        act(*given)
    (problem,) = told.value.problems
    return problem.what, problem.do


@pytest.mark.parametrize("rank", [0, 1])
def test_as_long_as_a_rank_is_heard_the_run_is_running_and_nobody_else_takes_it(folder: RunFolder, rank: int) -> None:
    beats(folder, 0, LONG_AGO)
    beats(folder, rank)
    assert driver.lease_holder(folder) is None, "no process of this machine"
    assert driver.status_of(folder) == "running"
    what, do = refusal(driver.refuse_driven, folder)
    assert what == "run first is being driven on node7, by process 4242"
    assert do.startswith(
        "wait for it, or stop it there with `launcher cancel first`; if node7 is gone, try again in 30 s"
    )
    assert refusal(driver.take_lease, folder) == (what, do)


def test_a_run_whose_ranks_have_not_begun_is_heard_by_its_driver(folder: RunFolder) -> None:
    """Also while ranks evaluate or save, which may take long and in which they have no pulse."""
    rests(folder, 1.0)
    assert driver.status_of(folder) == "running"
    assert refusal(driver.refuse_driven, folder)[0] == "run first is being driven on node7, by process 4242"


def test_once_nothing_is_heard_the_run_has_died_and_is_gone_on_with(folder: RunFolder) -> None:
    beats(folder, 0, LONG_AGO)
    beats(folder, 1, LONG_AGO)
    assert driver.status_of(folder) == "died"
    driver.refuse_driven(folder)
    driver.take_lease(folder)
    assert driver.lease_holder(folder) == os.getpid()


def test_a_pulse_that_a_crash_cut_off_hides_neither_that_nor_another_pulse(folder: RunFolder) -> None:
    folder.attempts()[-1].pulse(0).write_text("")
    assert driver.status_of(folder) == "died"
    beats(folder, 1)
    assert driver.status_of(folder) == "running"


def test_ranks_without_a_lease_are_not_waited_for(folder: RunFolder) -> None:
    """Whoever drives a run drops its lease at the end; the last pulse is young then."""
    beats(folder, 0)
    folder.lease.unlink()
    assert driver.status_of(folder) == "died"
    driver.refuse_driven(folder)


def test_a_lease_of_before_hosts_were_written_down_is_read_as_well(folder: RunFolder) -> None:
    told = read_json(folder.lease)
    del told["host"]
    write_json(folder.lease, told)
    assert refusal(driver.refuse_driven, folder)[0] == "run first is being driven on another machine, by process 4242"
    mine = {key: value for key, value in living.identity().items() if key != "host"}
    write_json(folder.lease, mine)
    assert driver.lease_holder(folder) == os.getpid()
    driver.drop_lease(folder)
    assert not folder.lease.exists()


def test_a_dead_driver_of_this_machine_is_not_waited_for(folder: RunFolder) -> None:
    write_json(folder.lease, {**living.identity(), "started": 1})
    beats(folder, 0)
    assert driver.status_of(folder) == "died"
    driver.refuse_driven(folder)


def test_a_job_that_is_put_back_takes_over_at_once(folder: RunFolder) -> None:
    """Its scheduler decides where it runs; of a machine that was cut off the pulse may go on for ever."""
    beats(folder, 0)
    driver.take_lease(folder, scheduled=True)
    assert driver.lease_holder(folder) == os.getpid()


def test_so_does_the_job_itself(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    beats(folder, 0)
    monkeypatch.setattr(slurm, "hosts", lambda: ("node8",))
    write_json(folder.job, {"max_requeues": 2})
    with pytest.raises(BackendError, match="put back 3 times"):  # so far it gets
        batch.drive(folder, (cast(Scheduler, slurm), ThisJob(7, restarts=3)))
    assert not folder.lease.exists(), "the lease was its own"


def test_overwrite_spares_a_run_at_work_elsewhere(folder: RunFolder, loaded: LoadedRecipe) -> None:
    beats(folder, 1)
    request = Request(loaded.path, {}, Placement(), "first", folder.path.parent, overwrite=True)
    assert "driven on node7" in refusal(run_request.find_folder, request, loaded)[0]
    assert "driven on node7" in refusal(opening.open_folder, folder, request, loaded, None)[0]
    assert folder.plan.is_file()
    beats(folder, 1, LONG_AGO)
    assert run_request.find_folder(request, loaded) == folder


def test_status_says_where_it_runs_and_cancel_where_to_stop_it(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    beats(folder, 1)
    told = watch.account_of(folder)
    assert (told["status"], told["host"], list(told["ranks"])) == ("running", "node7", ["1"])
    watch.show_status("first", folder.path.parent, as_json=False)
    printed = capsys.readouterr().out
    assert printed.startswith("first: running on node7, attempt 1, ddp on 2\n")
    assert "died" not in printed and "resume" not in printed
    what, do = refusal(control.cancel_run, "first", folder.path.parent, False)
    assert (what, do) == ("run first is being driven on node7, by process 4242", "stop it there: launcher cancel first")
    beats(folder, 1, LONG_AGO)
    watch.show_status("first", folder.path.parent, as_json=False)
    assert "killed without a word; go on with `launcher resume first`" in capsys.readouterr().out


def test_a_run_that_goes_on_by_hand_is_running_though_its_job_has_ended(folder: RunFolder) -> None:
    beats(folder, 0)
    assert status_in_words(folder, JobStatus(7, "CANCELLED", "", 0, "", "Slurm")) == "running"


class Ranks:
    """Ranks that take some time, and look at the lease as another machine would."""

    def __init__(self, seen: list[float]):
        self.seen = seen

    def start(self, plan: Any, folder: RunFolder, attempt: AttemptFolder, began: float) -> None:
        self.folder, self.attempt = folder, attempt

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        for _ in range(3):
            rests(self.folder)
            tick()
            self.seen.append(time.time() - self.folder.lease.stat().st_mtime)
        write_json(self.attempt.outcome, {"status": "finished", "steps": 9})

    def failure(self, attempt: AttemptFolder) -> None:
        return None

    def close(self) -> None:
        pass


def test_a_driver_keeps_its_lease_young_and_no_other_one(folder: RunFolder) -> None:
    plan, seen = planning.from_document(read_json(folder.plan)), []
    write_json(folder.lease, living.identity())
    supervisor.drive(folder, folder.attempts()[-1], plan, Ranks(seen), 0.0, lambda: None, lambda: 0)
    assert [age < LONG_AGO / 2 for age in seen] == [True, False, False], "every few seconds"
    assert read_json(folder.lease)["host"] == socket.gethostname()
    write_json(folder.lease, {**living.identity(), "boot": "0" * 8})
    rests(folder)
    driver.keep_lease(folder)
    assert driver.driven_elsewhere(folder) is None, "who was cut off must not speak for the one that has taken over"
    folder.lease.unlink()
    driver.keep_lease(folder)
    assert not folder.lease.exists()
