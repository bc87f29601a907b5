"""Several runs as one job array, and a run after another: one task is told, put back, cancelled, resumed by itself."""

from __future__ import annotations

import json
from typing import Any

from chaos import brake
from lab import wait_until
from work import LONG, ON_CPU, STEPS, Work

SEEDS = ("--array", "--each", "training.seed=1,2,3")


def test_one_task_of_an_array_is_handled_by_its_runs_name(work: Work) -> None:
    on = brake(work)  # no task is at its end before it is cancelled
    told = work.launch("submit", "tiny.py", "--name", "s", *SEEDS, "--at-once", 2, *LONG, *ON_CPU, "--json").stdout
    number = json.loads(told)["job"]
    assert [(run["run"].rpartition("/")[2], run["job"]) for run in json.loads(told)["runs"]] == [
        (f"s-seed-{seed}", f"{number}_{seed - 1}") for seed in (1, 2, 3)
    ]
    wait_until(lambda: work.status("s-seed-3")["queue"]["why"].startswith("waits for other tasks"), "the limit")
    after = work.submit("after", "--after", "s-seed-1", "--after", "s-seed-3")
    never = work.submit("never", "--after", "s-seed-2")
    wait_until(lambda: "(Dependency)" in work.status("after")["queue"]["why"], "the reason")
    assert work.status("after")["queue"]["why"] == "waits for s-seed-1, s-seed-3 (Dependency)"
    for name in ("s-seed-1", "s-seed-2"):
        work.wait_for_steps(name, 10)

    work.lab.run("scancel", "--batch", "--signal=USR1", f"{number}_0")  # its time is nearly over, and only its
    wait_until(lambda: work.lab.job(f"{number}_0")["Restarts"] == "1", "the task to be put back")
    work.launch("cancel", "s-seed-2")
    assert work.lab.wait_for_job(f"{number}_1")["JobState"] == "CANCELLED"
    wait_until(lambda: work.status("s-seed-2")["status"] == "stopped", "the outcome")
    _put_the_last_task_back(work, number)
    on.unlink()

    assert work.lab.wait_for_job(never)["JobState"] == "CANCELLED", "and does not hang"
    assert "s-seed-2 did not finish, so it was never started" in work.launch("status", "never").stdout
    assert work.status("never")["status"] == "not started"
    refused = work.launch("submit", "tiny.py", "--name", "b", *ON_CPU, "--after", "s-seed-2", "--after", "s", code=4)
    assert "run s-seed-2 has ended (stopped): what comes after it would never start" in refused.stderr

    again = json.loads(work.launch("resume", "s-seed-2", "--json").stdout)["job"]
    assert isinstance(again, int)
    outcomes = [work.end("s-seed-2", again), work.end("s-seed-1", f"{number}_0"), work.end("s-seed-3", f"{number}_2")]
    assert [outcome["status"] for outcome in outcomes] == ["finished"] * 3, work.log("s-seed-1")
    assert work.end("after", after)["status"] == "finished"
    restarts = [work.lab.job(f"{number}_{task}")["Restarts"] for task in range(3)]
    assert restarts == ["1", "0", "1"], "what was done to one task touched no other"
    for name in ("s-seed-1", "s-seed-3"):
        assert work.log(name).count("it is put back and goes on from there") == 1
    assert [len(work.losses(f"s-seed-{seed}")) for seed in (1, 2, 3)] == [STEPS] * 3, "no step lost, none done twice"
    _compare(work)


def _put_the_last_task_back(work: Work, number: int) -> None:
    """The job's number that this task is told is the array's own, which names its siblings too."""
    work.wait_for_steps("s-seed-3", 10)
    assert work.lab.job(f"{number}_2")["JobId"] == str(number)
    wait_until(lambda: work.lab.job(f"{number}_0")["JobState"] == "RUNNING", "a sibling that could be interrupted")
    work.lab.run("scancel", "--batch", "--signal=USR1", f"{number}_2")
    wait_until(lambda: work.lab.job(f"{number}_2")["Restarts"] == "1", "the last task to be put back")
    siblings = [work.lab.job(f"{number}_{task}") for task in (0, 1)]
    assert [(one["JobState"], one["Restarts"]) for one in siblings] == [("RUNNING", "1"), ("CANCELLED", "0")]


def _compare(work: Work) -> None:
    told: dict[str, Any] = json.loads(work.launch("compare", "s", "--json").stdout)
    assert told["differing"] == ["training.seed"]
    figures = [run["validation"][told["metric"]] for run in told["runs"]]
    assert figures == sorted(figures, reverse=True)
    assert sorted(run["differing"]["training.seed"] for run in told["runs"]) == [1, 2, 3]
    listed = json.loads(work.launch("list", "--json").stdout)["runs"]
    assert {run["run"]: run["status"] for run in listed} == {
        **{f"s-seed-{seed}": "finished" for seed in (1, 2, 3)},
        **{"after": "finished", "never": "not started"},
    }


def test_all_that_is_wrong_with_an_array_is_told_at_once_and_a_dry_run_makes_nothing(work: Work) -> None:
    asked = ["submit", "tiny.py", "--name", "s", *ON_CPU]
    told = json.loads(work.launch(*asked, *SEEDS, "--at-once", 2, "--dry-run", "--json").stdout)
    assert "--array=0-2%2" in told["words"]
    assert [run["set"] for run in told["runs"]] == [{"training.seed": seed} for seed in ("1", "2", "3")]
    text = work.launch(*asked, *SEEDS, "--dry-run").stdout
    assert "task 2: run s-seed-3: tiny.py training.seed=3" in text
    wrong = work.launch(*asked, "--array", "--each", "training.seed=1,x", "--each", "training.batch_size=8,0", code=2)
    assert wrong.stderr.count("where: ") == 2, "each complaint once, with the runs that it is of"
    assert "run s-seed-1-batch_size-0, s-seed-x-batch_size-0: --set training.batch_size=0" in wrong.stderr
    assert "run s-seed-x-batch_size-8, s-seed-x-batch_size-0: --set training.seed=x" in wrong.stderr
    assert "are 3 runs" in work.launch(*asked, "--each", "training.seed=1,2,3", code=3).stderr
    assert not work.runs.exists()
