"""A job's run is cancelled and resumed: no step is lost, and its numbers are as if left in peace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chaos import brake
from lab import wait_until
from work import LONG, STEPS, Work


def test_a_run_goes_on_after_a_cancel_bit_for_bit(work: Work, peace: Callable[[int], Any]) -> None:
    on = brake(work)  # it is not at its end before it is cancelled
    job = work.submit("a", "--nodes", 2, "--processes-per-node", 1, *LONG)
    work.wait_for_steps("a", 10)
    told = work.status("a")
    assert (told["status"], told["attempt"], told["queue"]["nodes"]) == ("running", 1, "node[1-2]")
    refused = work.launch("submit", "tiny.py", "--name", "a", "--overwrite", "--device", "cpu", code=4)
    assert f"run a is job {job} of Slurm, which is running" in refused.stderr

    assert f"job {job} was told to save and end" in work.launch("cancel", "a").stdout
    assert work.lab.wait_for_job(job)["JobState"] == "CANCELLED"
    wait_until(lambda: (work.runs / "a" / "outcome.json").is_file(), "the outcome")
    stopped = work.status("a")
    assert (stopped["status"], stopped["queue"]["restarts"]) == ("stopped", 0)
    assert 10 <= stopped["step"] < STEPS
    on.unlink()
    assert "has no job that waits or runs" in work.launch("cancel", "a", code=4).stderr

    again = json.loads(work.launch("resume", "a", "--json").stdout)["job"]
    assert again > job
    outcome = work.end("a", again)
    assert outcome["status"] == "finished", work.log("a")
    assert "nothing is left to resume" in work.launch("resume", "a", code=4).stderr

    assert work.story("a") == peace(2), "no step was done twice, and none differently"


def test_a_waiting_job_says_why_in_words_and_can_be_cancelled(work: Work) -> None:
    blocker = work.lab.run(
        "sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 900"
    )
    job = work.submit("a", "--nodes", 2)
    try:
        wait_until(lambda: work.status("a")["queue"]["why"], "a reason")
        told = work.launch("status", "a").stdout
        assert "a: pending, attempt 0, ddp on 2" in told
        assert f"job {job} of Slurm: pending: " in told
        assert "waits for nodes to become free (Resources)" in told or "other jobs go first (Priority)" in told
        work.launch("cancel", "a")
        assert work.lab.wait_for_job(job)["JobState"] == "CANCELLED"
    finally:
        work.lab.run("scancel", blocker.stdout.strip())
