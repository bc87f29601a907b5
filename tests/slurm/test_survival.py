"""What happens to machines and jobs in the middle of a run: it ends finished, bit for bit as if left in peace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chaos import EVENTS, brake, gone_on_from, steps_of, survive, wait_for_attempt
from lab import Lab, wait_until
from work import LONG, Work

from launcher.runs.run_folder import RunFolder

BLIND = """if os.environ.get("SLURM_RESTART_COUNT", "0") == "0" and "RANK" in os.environ:
    import launcher.training.checkpoints.writer
    import launcher.training.report.report

    launcher.training.checkpoints.writer.refuse_taken_over = lambda run, number: None
    launcher.training.report.report.refuse_taken_over = lambda run, number: None

"""
"""Above a recipe: the job's first ranks do not see that another attempt has begun."""


@pytest.fixture
def wide_work(wide: Lab, tmp_path: Path, cache: Path) -> Work:
    return Work(wide, tmp_path, cache)


def nodes_of(work: Work, job: int) -> list[str]:
    listed = work.lab.job(job)["NodeList"]
    return work.lab.run("scontrol", "show", "hostnames", listed).stdout.split()


def slurm_patience(lab: Lab, seconds: int) -> None:
    """After how long Slurm calls a silent node down; 300 s where nobody has changed it."""
    path = lab.folder / "etc/slurm.conf"
    lines = path.read_text().splitlines()
    changed = [f"SlurmdTimeout={seconds}" if line.startswith("SlurmdTimeout=") else line for line in lines]
    new = path.with_suffix(".new")  # put in place whole: whoever asks Slurm in this instant reads the file too
    new.write_text("\n".join(changed) + "\n")
    new.replace(path)
    lab.run("scontrol", "reconfigure")


def test_a_job_is_put_back_in_every_way_and_loses_no_step(work: Work, peace: Callable[[int], Any]) -> None:
    hits = survive(work, rounds=2)
    assert [hit.kind for hit in hits] == list(EVENTS) * 2
    assert [hit.reached - hit.gone_on for hit in hits] == [0] * 6, hits
    assert [name for name in EVENTS if work.story(name) != peace(1)] == [], "no step twice, none differently"
    assert [work.status(name)["queue"]["restarts"] for name in EVENTS] == [2, 2, 2]


def test_a_port_that_is_shut_between_two_machines_ends_the_job_with_their_names(wide_work: Work) -> None:
    """Neither of them is the first one, which all others reach."""
    work, lab = wide_work, wide_work.lab
    second = lab.run("getent", "hosts", "node2", host="node3").stdout.split()[0]
    lab.run("ip", "route", "add", "prohibit", second, host="node3")
    try:
        job = work.submit("a", "--nodes", 3, "--processes-per-node", 1, "--set", "training.batch_size=6")
        outcome = work.end("a", job)
    finally:
        lab.run("ip", "route", "del", "prohibit", second, host="node3")
    assert outcome["status"] == "failed"
    (what,) = {problem["what"].split(" at ")[0] for problem in outcome["problems"]} - {"node2 does not reach node3"}
    assert what == "node3 does not reach node2", work.log("a")
    assert lab.job(job)["Restarts"] == "0"
    assert not list((work.runs / "a" / "attempts" / "1").glob("rank-*.log")), "no rank was started"


def test_a_machine_that_is_lost_is_replaced_by_another(wide_work: Work, peace: Callable[[int], Any]) -> None:
    """While Slurm is still patient: we put the job back. How Slurm itself does it, the next test sees."""
    work, lab, every = wide_work, wide_work.lab, ("--set", "training.checkpoint_every=5")
    on = brake(work)
    slurm_patience(lab, 60)
    job = work.submit("a", "--nodes", 2, "--processes-per-node", 1, *LONG, *every)
    wait_for_attempt(work, "a", 1)
    wait_until(RunFolder(work.runs / "a").attempt(1).checkpoint_steps, "a checkpoint")
    lost = nodes_of(work, job)[1]
    lab.call("crash", lost)
    try:
        wait_until(lambda: "a machine was lost: it is put back" in work.log("a"), "the job to be put back")
        assert f"launcher: {lost} ended without a word" in work.log("a")
        wait_until(lambda: lab.job(job)["JobState"] != "RUNNING", "Slurm to have heard of it")
        # A node set DOWN under a job that is being put back starts that job at once, without the usual wait, and slurmd
        # turns away a credential of the second in which it killed the job ("already killed"): it is lost then. With
        # Slurm's own patience of minutes the two do not meet.
        time.sleep(2)
        lab.run("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=lost")  # its patience is of no interest
        wait_for_attempt(work, "a", 2)
        assert lost not in nodes_of(work, job)
        on.unlink()
        assert work.end("a", job)["status"] == "finished", work.log("a")
    finally:
        lab.call("boot", lost)
    later = [attempt.number for attempt in RunFolder(work.runs / "a").attempts()][1:]
    assert later and all(gone_on_from(work, "a", number) > 0 for number in later)
    assert work.story("a") == peace(2)


def test_a_machine_that_is_cut_off_trains_on_and_nobody_sees_it(wide_work: Work, peace: Callable[[int], Any]) -> None:
    """Two attempts at once: the old one's machine lost its network, but not the disk, and does not see the new one."""
    work, lab = wide_work, wide_work.lab
    on = brake(work, above=BLIND)
    wait_until(lambda: lab.call("status", check=False).returncode == 0, "all nodes to be up")
    slurm_patience(lab, 6)
    job = work.submit("a", *LONG, "--set", "training.checkpoint_every=5")
    wait_for_attempt(work, "a", 1)
    cut = nodes_of(work, job)[0]
    lab.call("link-down", cut)
    wait_for_attempt(work, "a", 2)
    assert nodes_of(work, job) != [cut]
    run, branch = work.runs / "a", gone_on_from(work, "a", 2)
    before = max(steps_of(work, "a")[1])
    wait_until(lambda: max(steps_of(work, "a")[1]) >= before + 10, "the old attempt to train on")
    assert before > branch, "it has gone beyond where the new one left it"
    left = RunFolder(run).attempt(1)  # the new one takes away what it finds there, each time that it has saved
    wait_until(lambda: max(left.checkpoint_steps(), default=0) > branch, "the old attempt to commit", pause=0.02)

    told = work.status("a")
    assert told["attempt"] == 2 and told["step"] <= max(steps_of(work, "a")[2])
    on.unlink()  # both run to their ends
    outcome = work.end("a", job)
    assert (outcome["status"], outcome["attempt"]) == ("finished", 2)
    failed = run / "attempts/1/rank-0.failure.json"
    wait_until(failed.exists, "the old attempt to reach its end")
    told_by_its_driver = "launcher: attempt 2 has taken over: what attempt 1 does no longer counts"
    wait_until(lambda: told_by_its_driver in work.log("a"), "its driver to see that it was left behind")
    assert not (run / "attempts/1/outcome.json").exists()
    assert json.loads((run / "outcome.json").read_text())["attempt"] == 2
    assert work.status("a")["status"] == "finished"
    lab.call("link-up", cut)
    wait_until(lambda: lab.call("status", check=False).returncode == 0, "all nodes to be up")
    assert work.story("a") == peace(1)
