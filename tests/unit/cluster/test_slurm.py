"""Talking to Slurm: the argument list of a job, and what its commands answer (here scripts that speak like them)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.cluster import schedulers, slurm
from launcher.cluster.inventory import Nodes
from launcher.cluster.job import Job, minutes
from launcher.cluster.scheduler import Number, Queued, ThisJob
from launcher.errors import BackendError

SCRIPT = Path(__file__).parents[3] / "slurm" / "train.sbatch"
SINFO = """\
debug*|30:00|2|8|16000|(null)
gpu|2-00:00:00|4|64|512000|gpu:a100:4(S:0-1)
gpu|2-00:00:00|2|96|1000000|gpu:4090:8(IDX:0,2-7),tmp:1
old|infinite|1|4+|8000+|gpu:2
empty|5|0|0|0|(null)
"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a command on PATH that says this and ends so; what it was given is in NAME.given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def speak(name: str, out: str = "", err: str = "", code: int = 0) -> Path:
        given = tmp_path / f"{name}.given"
        lines = ["import sys, pathlib", f"pathlib.Path({str(given)!r}).write_text('\\n'.join(sys.argv[1:]))"]
        lines += [f"sys.stdout.write({out!r})", f"sys.stderr.write({err!r})", f"sys.exit({code})"]
        path = folder / name
        path.write_text(f"#!{sys.executable}\n" + "\n".join(lines))
        path.chmod(0o755)
        return given

    return speak


def test_the_cluster_is_read_from_sinfo(commands: Callable[..., Path]) -> None:
    commands("sinfo", SINFO)
    found = slurm.cluster()
    assert [partition.name for partition in found.partitions] == ["debug", "gpu", "old", "empty"]
    assert found.default is not None
    assert found.default.name == "debug"
    assert [partition.minutes for partition in found.partitions] == [30, 2880, None, 5]
    gpu = found.partition("gpu")
    assert gpu is not None
    assert gpu.nodes == (Nodes(4, 64, 512000 << 20, 4, "a100"), Nodes(2, 96, 1000000 << 20, 8, "4090"))
    assert found.partitions[2].nodes == (Nodes(1, 4, 8000 << 20, 2, ""),)
    assert found.partitions[3].nodes == ()
    assert found.partition("none") is None


def test_where_there_is_no_slurm_it_says_so(commands: Callable[..., Path]) -> None:
    with pytest.raises(BackendError, match="there is no Slurm here: the command `sinfo` is not found"):
        slurm.cluster()


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("90", 90), ("30:00", 30), ("30:01", 31), ("1:30:00", 90), ("2-0", 2880), ("1-12:30", 2190),
        ("1-00:00:30", 1441), ("infinite", None), ("UNLIMITED", None), ("n/a", None),
    ],
)  # fmt: skip
def test_times_are_read_as_slurm_means_them(time: str, expected: int | None) -> None:
    assert minutes(time) == expected


def test_a_job_becomes_an_argument_list() -> None:
    job = Job(
        name="s", partition="gpu", account="nlp", qos="high", time="1-0", nodes=2, gpus_per_node=4, gpu_type="a100",
        cpus_per_task=16, memory="64G", constraint="a&b", reservation="r", nodelist="n[1-2]", exclude="n3",
        dependency="afterok:7", signal="B:USR1@120", array="0-3%2", exclusive=True,
    )  # fmt: skip
    assert slurm.arguments(job, Path("/runs/s")) == [
        *("sbatch", "--parsable", "--open-mode=append", "--ntasks-per-node=1", "--output=/runs/s/slurm-%a.log"),
        *("--requeue", "--job-name=s", "--partition=gpu", "--account=nlp", "--qos=high", "--time=1-0", "--nodes=2"),
        *("--gpus-per-node=a100:4", "--cpus-per-task=16", "--mem=64G", "--constraint=a&b", "--reservation=r"),
        *("--nodelist=n[1-2]", "--exclude=n3", "--dependency=afterok:7", "--signal=B:USR1@120", "--array=0-3%2"),
        *("--exclusive", "--kill-on-invalid-dep=yes", str(SCRIPT), "/runs/s"),
    ]
    plain = slurm.arguments(Job(name="s", requeue=False), Path("/runs/s"))
    assert plain[5:] == ["--no-requeue", "--job-name=s", "--nodes=1", str(SCRIPT), "/runs/s"]


def test_submitting_gives_the_number_and_hands_the_words_over_as_they_are(commands: Callable[..., Path]) -> None:
    given = commands("sbatch", "4711;cluster\n")
    words = ["sbatch", "--job-name=a b", "$(touch x)", "/runs/s"]
    assert slurm.submit(words, {"PATH": "/nowhere"}) == 4711
    assert given.read_text().split("\n") == words[1:]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination", "sacctmgr"),
        ("sbatch: error: invalid partition specified: x\nsbatch: error: failed", "`sinfo` lists the partitions"),
        (
            "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
            "it takes no jobs now",
        ),
        ("sbatch: error: Batch job submission failed: Invalid job array specification", "MaxArraySize"),
        ("sbatch: error: Batch job submission failed: Job dependency problem", "`launcher status`"),
        ("sbatch: error: something new", ""),
    ],
)
def test_a_refusal_is_slurms_own_words_and_our_hint(commands: Callable[..., Path], said: str, hint: str) -> None:
    commands("sbatch", err=said + "\n", code=1)
    with pytest.raises(BackendError) as told:
        slurm.submit(["sbatch"], {})
    (problem,) = told.value.problems
    assert problem.what == "sbatch refused: " + "; ".join(
        line.removeprefix("sbatch: error: ") for line in said.splitlines()
    )
    assert hint in problem.do
    assert bool(problem.do) == bool(hint)


def test_an_answer_without_a_number_is_an_error(commands: Callable[..., Path]) -> None:
    commands("sbatch", "queued, thanks\n")
    with pytest.raises(BackendError, match="gave no job number"):
        slurm.submit(["sbatch"], {})


def test_a_job_is_looked_up_and_a_forgotten_one_is_none(commands: Callable[..., Path]) -> None:
    commands("scontrol", "JobId=7 JobName=s JobState=PENDING Reason=Priority Restarts=2 NodeList=(null) TRES=cpu=1\n")
    assert slurm.look_up(7) == Queued(7, "PENDING", "Priority", 2, "")
    commands("scontrol", "JobId=7 JobState=RUNNING Reason=None Restarts=0 NodeList=node[1-2]\n")
    assert slurm.look_up(7) == Queued(7, "RUNNING", "", 0, "node[1-2]")
    commands("scontrol", err="slurm_load_jobs error: Invalid job id specified\n", code=1)
    assert slurm.look_up(7) is None
    commands("scontrol", err="slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", code=1)
    with pytest.raises(BackendError, match="controller does not answer"):
        slurm.look_up(7)


BOOKS = """\
2|COMPLETED|node[1-2]
1_0|COMPLETED|node1
1_1|FAILED|node1
1_2|CANCELLED by 0|node1
6|CANCELLED by 0|None assigned
1_3|RUNNING|node1
7|CANCELLED|None assigned
"""
"""As sacct of Slurm 22.05 tells it: a job, an array's tasks, one that never began, an impossible dependency."""


def test_a_forgotten_job_is_looked_up_in_the_books(commands: Callable[..., Path]) -> None:
    commands("scontrol", err="slurm_load_jobs error: Invalid job id specified\n", code=1)
    given = commands("sacct", BOOKS)
    told = {number: slurm.look_up(number) for number in (2, "1_1", "1_2", 6, 7)}
    assert "--jobs=7" in given.read_text().split("\n")
    assert told == {
        2: Queued(2, "COMPLETED", "", 0, "node[1-2]"),
        "1_1": Queued("1_1", "FAILED", "", 0, "node1"),
        "1_2": Queued("1_2", "CANCELLED", "", 0, "node1"),
        6: Queued(6, "CANCELLED", "", 0, ""),
        7: Queued(7, "CANCELLED", "", 0, ""),
    }
    assert slurm.look_up(1) is None, "the array itself is no run"
    commands("sacct", err="Slurm accounting storage is disabled\n", code=1)
    assert slurm.look_up(2) is None


QUEUE = """\
7|RUNNING|node[1-2]|None
8_0|PENDING||Resources
8_1|RUNNING|node3|None
9|PENDING||(Nodes required for job are DOWN|oddly)
"""


def test_many_jobs_are_looked_up_by_one_question(commands: Callable[..., Path]) -> None:
    given = commands("squeue", QUEUE)
    found = slurm.look_up_all([7, "8_0", "8_1", 9, 10])
    assert found == {
        7: Queued(7, "RUNNING", "", 0, "node[1-2]"),
        "8_0": Queued("8_0", "PENDING", "Resources", 0, ""),
        "8_1": Queued("8_1", "RUNNING", "", 0, "node3"),
        9: Queued(9, "PENDING", "(Nodes required for job are DOWN|oddly)", 0, ""),
    }
    assert "--jobs=7,8_0,8_1,9,10" in given.read_text().split("\n")
    given.unlink()
    assert slurm.look_up_all([]) == {}
    assert not given.exists(), "nothing was asked"
    commands("squeue", err="slurm_load_jobs error: Invalid job id specified\n", code=1)
    assert slurm.look_up_all([7]) == {}
    commands("squeue", err="slurm_load_jobs error: Unable to contact slurm controller\n", code=1)
    with pytest.raises(BackendError, match="controller does not answer"):
        slurm.look_up_all([7])


def test_a_process_inside_a_job_knows_which_and_one_outside_knows_that_too() -> None:
    told = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "2", "SLURM_NODEID": "1", "SLURM_SUBMIT_HOST": "login"}
    assert slurm.this_job(told) == ThisJob(7, 2, "", 1, "login")
    assert slurm.this_job({"SLURM_JOB_ID": "7"}) == ThisJob(7)
    assert schedulers.around({"SLURM_JOB_ID": "7"}) == (slurm, ThisJob(7))
    assert schedulers.around({"SLURM_RESTART_COUNT": "2"}) is None


def test_a_task_is_known_by_its_place_in_the_array_and_only_it_is_put_back(commands: Callable[..., Path]) -> None:
    """The last task's SLURM_JOB_ID is the array's own number, which names all tasks."""
    last = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    job = slurm.this_job(last)
    assert job == ThisJob(slurm.task(7, 2), task="2"), "what submission notes"
    assert slurm.this_job({**last, "SLURM_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "0"}) == ThisJob("7_0", task="0")
    given = commands("scontrol", "JobId=7 ArrayJobId=7 ArrayTaskId=2 JobState=RUNNING PreemptTime=None\n")
    asked: list[tuple[Callable[[Number], object], list[str]]] = [
        (slurm.requeue, ["requeue", "7_2"]),
        (slurm.preempted, ["--oneliner", "show", "job", "7_2"]),
        (slurm.begins_again, ["--oneliner", "show", "job", "7_2"]),
    ]
    for verb, words in asked:
        verb(job.number)
        assert given.read_text().split("\n")[: len(words)] == words


def test_a_scheduler_is_found_by_its_name() -> None:
    assert list(schedulers.SCHEDULERS) == ["slurm"]
    assert schedulers.named("slurm") is slurm
    with pytest.raises(BackendError, match="there is no scheduler 'pbs' here") as told:
        schedulers.named("pbs")
    assert told.value.problems[0].do == "this installation knows: slurm"


def test_accounts_are_told_where_books_are_kept(commands: Callable[..., Path]) -> None:
    assert slurm.accounts() == []
    commands("sacctmgr", err="Slurm accounting storage is disabled\n", code=1)
    assert slurm.accounts() == []
    commands("sacctmgr", "nlp\nvision\nnlp\n")
    assert slurm.accounts() == ["nlp", "vision"]


def test_a_job_inherits_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    monkeypatch.setenv("PATH", "/usr/bin")
    made = slurm.environment(Path("/venv/bin/python"))
    assert made["PATH"] == "/venv/bin:/usr/bin"
    assert {name for name in made if name.startswith("SLURM_")} == {"SLURM_CONF"}
