"""What breaks inside a job: the cause is told by rank and machine, nothing is left hanging, and the run can go on."""

from __future__ import annotations

import json
import sys

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
    job = work.submit("a", "--nodes", 2, "--processes-per-node", 1, *LONG)
    work.wait_for_steps("a", 5)
    killed = work.lab.run(sys.executable, "-c", KILL_THE_RANK, host="node2").stdout.split()
    assert len(killed) == 1
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
