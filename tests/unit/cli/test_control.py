"""`launcher resume` of a run that several machines shared without a scheduler."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from launcher.cli.control import resume_run
from launcher.errors import BackendError
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.json_files import write_json
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs import driver
from launcher.runs.run_folder import RunFolder


def test_the_line_to_type_on_each_machine_is_told(tmp_path: Path, loaded: LoadedRecipe) -> None:
    folder = RunFolder(tmp_path / "b")
    folder.path.mkdir()
    facts, prepared = Facts(cores=8, memory_bytes=1 << 34), {"folder": str(tmp_path), "rows": {"train": 100}}
    placement = Placement(processes=2, nodes=2, strategy="ddp", device="cpu")
    plan = planning.make(loaded, facts, placement, prepared, machine_facts.versions())
    write_json(folder.plan, plan.document())
    write_json(folder.outcome, {"status": "stopped", "steps": 3})
    with pytest.raises(BackendError) as told:
        resume_run("b", tmp_path, detach=False, as_json=False)
    (problem,) = told.value.problems
    assert problem.what == "run b is shared by 2 machines, without a scheduler"
    line = problem.do.partition("HOST: ")[2]
    expected = "--name b --resume --machines 2 --machine-rank K --head HOST:PORT --processes 2 --strategy ddp"
    assert line == f"launcher run {plan.recipe} {expected} --device cpu --runs {tmp_path}"
    assert folder.attempts() == []


@pytest.mark.parametrize(("trap", "number"), [("", 15), ("TERM", 2), ("TERM INT", 1), ("TERM INT HUP", None)])
def test_a_run_is_told_to_end_by_a_signal_that_it_does_not_ignore(trap: str, number: int | None) -> None:
    ignore = f'trap "" {trap};' if trap else ""
    script = f"{ignore} exec sleep 60"
    process = subprocess.Popen(
        ["sh", "-c", script], preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (1, 2, 15)] and None
    )
    try:
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            time.sleep(0.01)
        if number is None:
            with pytest.raises(BackendError, match="was started to ignore the signals that would end it"):
                driver.cancel(process.pid)
            return
        driver.cancel(process.pid)
        assert process.wait(30) == -number
    finally:
        process.kill()
        process.wait()
