"""What breaks inside a job: the cause is told by rank and machine, nothing is left hanging, and the run can go on."""

from __future__ import annotations

import json
import sys

from chaos import brake
from lab import wait_until
from work import LONG, Work

KILL_THE_RANK = """
import os, pathlib, signal
for folder in pathlib.Path("/proc").iterdir():
    try:
        out = os.readlink(folder / "fd/1")
    except OSError:
        continue
    if folder.name.isdigit() and out.endswith("/rank-1.log"):
        os.kill(int(folder.name), signal.SIGKILL)
        print(folder.name)
"""


def test_a_rank_that_is_killed_ends_the_attempt_on_all_nodes_and_the_job_goes_on(work: Work) -> None:
    """Also while Slurm's controller does not answer: no step can be started in that time."""
    on = brake(work)
    job = work.submit("a", "--nodes", 2, "--processes-per-node", 1, *LONG)
    work.wait_for_steps("a", 5)
    controller = int((work.lab.folder / "run/slurmctld.pid").read_text())  # as its host counts
    work.lab.run("kill", "-STOP", controller)
    killed = work.lab.run(sys.executable, "-c", KILL_THE_RANK, host="node2").stdout.split()
    assert len(killed) == 1
    try:
        wait_until(lambda: "srun has started nothing: it is tried again" in work.log("a"), "a step that did not start")
    finally:
        work.lab.run("kill", "-CONT", controller)
    on.unlink()
    wait_until(lambda: (work.runs / "a" / "outcome.json").is_file(), "the outcome")
    outcome = work.end("a", job)
    assert outcome["status"] == "finished", work.log("a")
    assert [attempt["ended"] for attempt in outcome["attempts"]] == ["fault", "finished"]
    assert "attempt 1 broke: rank 1 was killed by SIGKILL; attempt 2 repeats what it lost" in work.log("a")
    assert work.lab.job(job)["Restarts"] == "0", "repaired inside the allocation"
    attempt = work.runs / "a" / "attempts" / "1"
    told = json.loads((attempt / "node-0.json").read_text())
    assert list(told["ended"]) == ["0"], "the other node's rank has ended too, and its machine said so"


def test_a_set_up_file_that_fails_ends_the_job_with_its_name(work: Work) -> None:
    (work.folder / "site.sh").write_text("module() { return 1; }\nmodule load nothing\n")
    (work.folder / "launcher.toml").write_text('[profile.default]\nsetup = "site.sh"\n')
    job = work.submit("a")
    assert work.lab.wait_for_job(job)["ExitCode"] == "1:0"
    assert f"launcher: {work.runs}/a/setup.sh failed" in work.log("a")
    assert work.status("a")["status"] == "not started"
