"""What is wrong with a node is found before a model is loaded, and ends the job with its cause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from work import Work

from launcher.host import machine_facts


@pytest.fixture
def other_version(work: Work) -> Iterator[str]:
    """On node2 alone one package is another: its version file is another there."""
    files = metadata.files("safetensors") or []
    file = next(Path(str(path.locate())) for path in files if path.name == "METADATA")
    other = work.folder / "METADATA"
    other.write_text(file.read_text().replace(f"Version: {machine_facts.versions()['safetensors']}", "Version: 0.0.1"))
    work.lab.run("mount", "--bind", other, file, host="node2")
    yield "safetensors is 0.0.1, planned with "
    work.lab.run("umount", file, host="node2")


def test_another_library_and_missing_gpus_end_the_job_at_once(work: Work, other_version: str) -> None:
    job = int(
        json.loads(
            work.launch(
                *("submit", "tiny.py", "--name", "a", "--json", "--nodes", 2, "--processes-per-node", 2),
                *("--device", "cuda", "--cpus-per-process", 1),
            ).stdout
        )["job"]
    )
    outcome = work.end("a", job)
    assert outcome["status"] == "failed"
    told = [problem["what"] for problem in outcome["problems"]]
    assert sum("sees 0 GPUs, but 2 are promised" in what for what in told) == 2, told
    assert sum(other_version in what for what in told) == 1
    assert next(what for what in told if other_version in what).startswith("node2 has other libraries than the plan")
    assert work.lab.job(job)["Restarts"] == "0"
    assert len(list((work.runs / "a" / "attempts").iterdir())) == 1
    assert not list((work.runs / "a" / "attempts" / "1").glob("rank-*.log")), "no rank was started"


def test_a_node_that_cannot_write_the_run_folder_is_named(work: Work) -> None:
    work.runs.mkdir()
    work.lab.run("mount", "--bind", work.runs, work.runs, host="node2")
    try:
        work.lab.run("mount", "-o", "remount,ro,bind", work.runs, host="node2")
        job = work.submit("a", "--nodes", 2, "--processes-per-node", 1)
        outcome = work.end("a", job)
    finally:
        work.lab.run("umount", work.runs, host="node2")
    assert outcome["status"] == "failed"
    assert "node2 cannot write into the run folder: read-only file system" in work.log("a")
    assert outcome["problems"][0]["what"].startswith("node2 cannot write into the run folder"), outcome["problems"]
    assert work.lab.job(job)["Restarts"] == "0"
