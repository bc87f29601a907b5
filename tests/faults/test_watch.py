"""`launcher status`, `logs` and `logs --follow`: while a run goes on, when it has ended, and for several readers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable

from scene import PATIENCE, Launched, Scene, wait_until

Begin = Callable[..., Launched]


def follow(scene: Scene, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "launcher", "logs", *map(str, words), "--follow"]
    return subprocess.Popen(
        command, cwd=scene.folder, env=scene.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_watching_a_run_from_start_to_end(slow: Scene, begin: Begin) -> None:
    endless = ("--set", "training.max_steps=1000000", "--set", "training.epochs=1000000")
    launched = begin("r", "--processes", 2, *endless)
    wait_until(lambda: (launched.path / "attempts/1/rank-0.log").exists(), "the log")
    followers = [follow(slow, "r"), follow(slow, "r", "--rank", 1)]
    launched.wait_for_step(3)

    status = slow.status("r")
    assert status["status"] == "running"
    assert (status["attempt"], status["strategy"], status["world_size"]) == (1, "ddp", 2)
    assert 3 <= status["step"] <= status["steps"] == 1_000_000
    assert set(status["ranks"]) == {"0", "1"}
    for beat in status["ranks"].values():
        assert beat["section"] in ("training", "evaluating", "starting")
        assert beat["silent_seconds"] < PATIENCE
    assert status["seconds_left"] >= 0
    plain = slow.launch("status", "r").stdout
    assert "r: running, attempt 1, ddp on 2" in plain
    assert "rank 1: " in plain
    part = slow.launch("logs", "r").stdout
    assert "step " in part and "finished" not in part

    second = slow.run("r", "--processes", 2, *endless, "--resume")
    assert second.returncode == 4
    assert f"is being driven by process {launched.process.pid}" in second.stderr
    replaced = slow.run("r", "--processes", 2, *endless, "--overwrite")
    assert replaced.returncode == 4
    assert f"is being driven by process {launched.process.pid}" in replaced.stderr

    launched.signal(signal.SIGTERM)
    assert launched.end() == 75, launched.output()
    followed = [process.communicate(timeout=PATIENCE)[0] for process in followers]
    assert [process.returncode for process in followers] == [0, 0]
    assert followed[0] == slow.launch("logs", "r").stdout
    status = slow.status("r")
    assert (status["status"], status["ranks"]) == ("stopped", {})
    assert f"step {status['step']}/1000000" in followed[0]
    assert f"step {status['step']}/1000000" in launched.told.read_text()


def test_a_follower_may_leave_and_the_run_does_not_notice(slow: Scene, begin: Begin) -> None:
    launched = begin("r")
    launched.wait_for_step(1)
    follower = follow(slow, "r")
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    rest = follower.communicate(timeout=PATIENCE)[0]
    assert follower.returncode == 130
    assert "Traceback" not in rest
    assert not launched.ended()
    shell = f"{sys.executable} -m launcher logs r | head -1; exit ${{PIPESTATUS[0]}}"
    piped = slow.carry_out("bash", "-c", shell)
    assert "Traceback" not in piped.stderr
    assert piped.returncode in (0, 141)
    launched.signal(signal.SIGTERM)
    assert launched.end() == 75


def test_logs_and_status_of_a_failed_run_show_the_newest_attempt(scene: Scene) -> None:
    good = scene.recipe.read_text()
    scene.recipe.write_text("import os\nif 'RANK' in os.environ:\n    raise ValueError('not today')\n" + good)
    assert scene.run("r").returncode == 5
    status = scene.status("r")
    assert status["status"] == "failed"
    assert "ValueError: not today" in status["problems"][0]["what"]
    plain = scene.launch("status", "r").stdout
    assert "ValueError: not today" in plain and "where:" in plain
    assert "ValueError: not today" in scene.launch("logs", "r").stdout
    assert scene.launch("logs", "r", "--follow").returncode == 0  # nobody drives it, so there is nothing to wait for

    scene.recipe.write_text(good)
    scene.finish("r", "--resume")
    assert scene.status("r")["attempt"] == 2
    assert "ValueError" not in scene.launch("logs", "r").stdout
    assert "ValueError" in (scene.runs / "r/attempts/1/rank-0.log").read_text()


def test_json_of_a_run_is_one_value_on_stdout(scene: Scene) -> None:
    done = scene.finish("r", "--processes", 2, "--json")
    told = json.loads(done.stdout)
    assert told["status"] == "finished"
    assert told["run"] == str(scene.runs / "r")
    assert "Traceback" not in done.stderr
    status = scene.status("r")
    assert (status["status"], status["step"], status["ranks"]) == ("finished", status["steps"], {})
    assert status["metrics"]["test"] == told["metrics"]["test"]
    plain = scene.launch("status", "r").stdout
    assert "r: finished" in plain and "test: " in plain
