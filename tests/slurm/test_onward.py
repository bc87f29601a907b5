"""Jobs that begin with the model of a finished run."""

from __future__ import annotations

import json

import pytest
from work import ON_CPU, Work


def test_a_job_and_an_array_begin_with_a_run(work: Work) -> None:
    work.launch("run", "tiny.py", "--name", "first", "--device", "cpu")
    work.launch("run", "tiny.py", "--name", "here", "--from", "first", "--device", "cpu")
    job = work.submit("second", "--from", "first", "--set", "training.lwf=1", "--nodes", 2, "--processes-per-node", 1)
    seeds = ("--array", "--each", "training.seed=0,1", "--from", "first")
    told = work.launch("submit", "tiny.py", "--name", "s", *seeds, *ON_CPU, "--json").stdout
    number = json.loads(told)["job"]
    outcome = work.end("second", job)
    assert outcome["status"] == "finished", work.log("second")
    assert [run["run"] for run in outcome["lineage"]] == ["first"]
    assert len(work.losses("second")) == len(work.losses("here"))
    for task, seed in enumerate((0, 1)):
        work.lab.wait_for_job(f"{number}_{task}")
        assert json.loads((work.runs / f"s-seed-{seed}" / "outcome.json").read_text())["lineage"] == outcome["lineage"]
    # dropout is off and the first seed is the recipe's own
    assert work.losses("s-seed-0") == pytest.approx(work.losses("here"), abs=1e-5)
    assert work.losses("s-seed-1") != pytest.approx(work.losses("here"), abs=1e-5)
