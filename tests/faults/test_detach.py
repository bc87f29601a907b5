"""`launcher run --detach`: it goes on without whoever typed it, and is looked at, cancelled and resumed like others."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

from proof import assert_same, checkpoint_steps
from scene import STEPS, Scene, lines_in, wait_until


def test_a_run_in_the_background_from_its_start_to_its_end(slow: Scene, twin) -> None:
    (slow.folder / "brake").touch()
    # its pipes are read to their ends: nobody in the background holds them open
    typed = slow.launch("run", "tiny.py", "--name", "r", "--processes", 2, "--detach")
    assert (typed.returncode, typed.stderr) == (0, "")
    run = slow.runs / "r"
    told = re.search(r"^run r goes on in the background as process (\d+); it prints into (.*)$", typed.stdout, re.M)
    assert told is not None and Path(told[2]) == run / "launcher.log"
    assert typed.stdout.startswith("preparing the data\n"), "what the start does is shown as long as one waits for it"
    assert "launcher status r" in typed.stdout and "launcher cancel r" in typed.stdout
    process = int(told[1])
    try:
        assert slow.status("r")["status"] == "running"
        assert os.getsid(process) == process != os.getsid(0), "a log-out does not reach it"
        os.kill(process, signal.SIGHUP)
        again = slow.launch("run", "tiny.py", "--name", "r", "--processes", 2, "--resume", "--detach", "--json")
        assert again.returncode == 4
        assert f"is being driven by process {process}" in json.loads(again.stdout)["problems"][0]["what"]
        assert again.stderr.count("is being driven") == 1
        wait_until(lambda: lines_in(run / "events.jsonl") >= 20, "step 20")
        cancelled = slow.launch("cancel", "r", "--json")
        assert cancelled.returncode == 0 and json.loads(cancelled.stdout)["process"] == process
        wait_until(lambda: slow.status("r")["status"] != "running", "the end")
    finally:
        if Path(f"/proc/{process}").exists():
            os.kill(process, signal.SIGKILL)
    outcome = slow.outcome("r")
    assert outcome["status"] == "stopped" and 20 <= outcome["steps"] < STEPS
    assert checkpoint_steps(run)[-1] == outcome["steps"]
    log = (run / "launcher.log").read_text()
    assert "train: 1," in log and "go on with: launcher run tiny.py --name r --resume" in log
    assert "step 20/240" in log and "step 20/240" in slow.launch("logs", "r").stdout

    (slow.folder / "brake").unlink()
    resumed = slow.launch("resume", "r", "--detach", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout).keys() == {"run", "process", "log"}
    wait_until(lambda: slow.status("r")["status"] != "running", "the end")
    assert slow.outcome("r")["status"] == "finished"
    assert (run / "launcher.log").read_text().startswith(log), "the second part stands below the first"
    assert_same(run, twin(2))


def test_what_refuses_or_breaks_at_once_is_told_where_it_was_typed(scene: Scene) -> None:
    for words, code, what in (
        (("--dry-run",), 2, "--detach and --dry-run exclude each other"),
        (("--machines", 2, "--machine-rank", 0, "--head", "a:1"), 2, "--detach and --machines exclude each other"),
        (("--set", "training.batch_size=0"), 2, "batch_size"),
        (("--set", 'task.labels=["good", "other"]'), 2, "label"),
    ):
        refused = scene.launch("run", "tiny.py", "--name", "r", "--detach", *words)
        assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr
        assert what in refused.stderr and refused.stderr.count("launcher: ") == 1, refused.stderr
        assert not scene.runs.exists() or list(scene.runs.iterdir()) == []
    scene.recipe.write_text(
        "import os\nif 'RANK' in os.environ:\n    raise ValueError('not today')\n" + scene.recipe.read_text()
    )
    broke = scene.launch("run", "tiny.py", "--name", "r", "--detach", "--json")
    assert broke.returncode == 5, broke.stderr + broke.stdout
    assert "not today" in broke.stderr
    assert json.loads(broke.stdout)["status"] == "failed" == scene.status("r")["status"]
    assert list(scene.runs.iterdir()) == [scene.runs / "r"]
