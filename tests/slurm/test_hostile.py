"""Hostile values in every field of a job: refused by the allow-lists, and harmless where these are taken away."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hostile import values
from lab import Lab

from launcher.cluster.job import Job, Profile
from launcher.cluster.slurm import NAMED_OTHERWISE
from launcher.errors import BackendError, RecipeError

CANARY = Path("/nowhere/canary")
PATHS = ("setup", "scratch")
"""Fields of a profile that are paths: `launcher.cluster.profile` holds them to being there."""
BYPASS = """
import json, subprocess, sys
from pathlib import Path
from launcher.cluster import slurm
from launcher.cluster.job import Job

told = {"submitted": 0, "refused": 0, "impossible": 0}
for field, value in json.load(sys.stdin):
    job = Job(name="canary")
    object.__setattr__(job, field, value)
    words = slurm.arguments(job, Path(sys.argv[2]))
    assert words[0] == "sbatch" and words[-1] == sys.argv[2]
    words[-2] = sys.argv[1]
    try:
        done = subprocess.run(["sbatch", "--hold", *words[1:]], capture_output=True, stdin=subprocess.DEVNULL)
    except (ValueError, OSError):
        told["impossible"] += 1  # a null byte or too long a word is no argument at all
    else:
        told["refused" if done.returncode else "submitted"] += 1
print(json.dumps(told))
"""


def fields_of(noun: type) -> list[str]:
    return [name for name in noun.__dataclass_fields__ if name not in PATHS]


@pytest.mark.parametrize("field", fields_of(Job))
def test_every_field_of_a_job_refuses_every_hostile_value(field: str) -> None:
    hostile = values(CANARY)
    assert len(hostile) >= 200
    assert len(fields_of(Job)) == 19
    let_through = []
    for value in hostile:
        try:
            Job(**{"name": "a", field: value})
        except RecipeError as error:
            assert f"Job.{field}" in str(error)
        else:
            let_through.append(value)
    assert let_through == []


@pytest.mark.parametrize("field", fields_of(Profile))
def test_every_field_of_a_profile_refuses_every_hostile_value(field: str) -> None:
    assert len(fields_of(Profile)) == 14
    for value in values(CANARY):
        with pytest.raises(RecipeError, match=f"Profile.{field}"):
            Profile(**{field: value})


def test_good_values_pass_so_that_the_refusals_mean_something() -> None:
    good = Job(
        name="reviews_zh-2.1", partition="gpu,long", account="nlp.team", qos="high+", time="1-12:30:00", nodes=2,
        gpus_per_node=8, gpu_type="a100_3g.20gb", cpus_per_task=16, memory="64G", constraint="(a100&nvlink)|h100*2",
        reservation="maint", nodelist="node[1-4,7],gpu-9", exclude="node3", dependency="afterok:12:13,afterany:9_4",
        signal="B:USR1@120", array="0-7:2,9%3", requeue=False, exclusive=True,
    )  # fmt: skip
    assert good.array == "0-7:2,9%3"


def test_without_the_allow_lists_the_real_sbatch_still_runs_nothing(lab: Lab, tmp_path: Path) -> None:
    """Every value in every field that has an option, put into the job behind the allow-list's back."""
    canary, script = tmp_path / "canary", tmp_path / "script.sbatch"
    script.write_text(f"#!/bin/bash\ntouch {canary}-ran\n")
    with_option = [name for name in fields_of(Job) if NAMED_OTHERWISE.get(name, name) and name not in ("requeue",)]
    assert len(with_option) == 17
    given = tmp_path / "given.json"
    given.write_text(json.dumps([(name, value) for name in with_option for value in values(canary)]))
    program = tmp_path / "bypass.py"
    program.write_text(BYPASS)
    words = ["sh", "-c", 'exec "$@" <"$0"', given, sys.executable, program, script, tmp_path]
    told = json.loads(lab.run(*words, cwd=Path(__file__).parents[2], PYTHONPATH=str(Path(__file__).parents[2])).stdout)
    lab.run("scancel", "--user=root")
    assert told["submitted"] > 100, "job names may be anything to Slurm"
    assert told["refused"] > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bypass.py", "given.json", "script.sbatch"]
    assert not list(Path.cwd().glob("slurm-*"))


@pytest.mark.parametrize("name", ["run%j", "a\\b", "a\nb", "\x1b[2J"])
def test_a_folder_that_slurm_would_read_as_a_pattern_is_refused(name: str, tmp_path: Path) -> None:
    from launcher.cluster.slurm import arguments

    with pytest.raises(BackendError, match="another --runs"):
        arguments(Job(name="a"), tmp_path / name)
