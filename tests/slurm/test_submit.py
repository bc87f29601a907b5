"""`launcher submit` on a real Slurm: what is printed, what is refused, and runs over two nodes."""

from __future__ import annotations

import json
import shlex
import sys

import pytest
from work import ON_CPU, ROOT, Work


def test_two_nodes_of_two_ranks_give_the_losses_of_one_process(work: Work, alone: list[float]) -> None:
    job = work.submit("spread", "--nodes", 2, "--processes-per-node", 2)
    work.launch("run", "tiny.py", "--name", "here", "--device", "cpu", "--processes", 4)
    outcome = work.end("spread", job)
    assert (outcome["status"], outcome["world_size"], outcome["strategy"]) == ("finished", 4, "ddp"), work.log("spread")
    here, spread = (work.losses(name) for name in ("here", "spread"))
    assert spread == pytest.approx(alone, abs=1e-5)
    assert spread == pytest.approx(here, abs=1e-5)
    attempt = work.runs / "spread" / "attempts" / "1"
    machines = [json.loads((attempt / f"node-{number}.json").read_text()) for number in (0, 1)]
    assert [machine["host"] for machine in machines] == ["node1", "node2"]
    assert [sorted(machine["ended"]) for machine in machines] == [["0", "1"], ["2", "3"]]
    assert "run spread: finished after step 21" in work.log("spread")
    plan = json.loads((work.runs / "spread" / "plan.json").read_text())
    assert (plan["nodes"], plan["world_size"], plan["threads_per_process"]) == (2, 4, 1)


def test_sharded_states_span_the_nodes(work: Work) -> None:
    names = ("fsdp2", "zero2")
    jobs = [work.submit(name, "--nodes", 2, "--processes-per-node", 1, "--strategy", name) for name in names]
    for name, job in zip(names, jobs, strict=True):
        outcome = work.end(name, job)
        assert (outcome["status"], outcome["world_size"], outcome["strategy"]) == ("finished", 2, name), work.log(name)
        assert outcome["proof"] is not None


def test_a_dry_run_prints_the_words_that_a_submission_hands_over_and_makes_nothing(work: Work) -> None:
    (work.folder / "site.sh").write_text(f"echo sourced >>{work.folder}/sourced\n")
    (work.folder / "launcher.toml").write_text(
        '[profile.low]\npartition = "low"\ntime = "00:10:00"\nnodes = 2\nsetup = "site.sh"\naccount = "nlp"\n'
    )
    asked = ["submit", "tiny.py", "--name", "a", "--profile", "low", *ON_CPU, "--time", "5"]
    told = work.launch(*asked, "--dry-run").stdout
    as_json = json.loads(work.launch(*asked, "--dry-run", "--json").stdout)
    assert not work.runs.exists()
    run = work.runs / "a"
    assert as_json["words"] == [
        *("sbatch", "--parsable", "--open-mode=append", "--ntasks-per-node=1", f"--output={run}/slurm.log"),
        *("--requeue", "--job-name=a", "--partition=low", "--account=nlp", "--time=5", "--nodes=2"),
        *("--cpus-per-task=1", "--signal=B:USR1@30", str(ROOT / "slurm" / "train.sbatch"), str(run)),
    ]
    assert shlex.split(told.splitlines()[0]) == as_json["words"]
    assert (ROOT / "slurm" / "train.sbatch").read_text() in told
    assert f"set-up:      {work.folder}/site.sh, copied to {run}/setup.sh" in told
    job = json.loads(work.launch(*asked, "--json").stdout)["job"]
    written = json.loads((run / "job.json").read_text())
    assert written == {**as_json["job"], "job": job}
    assert work.end("a", job)["world_size"] == 2
    assert (work.folder / "sourced").read_text() == "sourced\n", "by the batch step, once"
    known = work.lab.job(job)
    assert (known["JobName"], known["Partition"], known["TimeLimit"]) == ("a", "low", "00:05:00")


def test_a_job_with_fewer_nodes_than_the_plan_is_refused_by_the_driver(work: Work) -> None:
    job = work.submit("a", "--nodes", 2, "--partition", "main")
    work.lab.run("scancel", job)
    work.lab.wait_for_job(job)
    (work.runs / "a" / "outcome.json").unlink(missing_ok=True)
    words = ["sbatch", "--parsable", "--nodes=1", f"--output={work.folder}/l", ROOT / "slurm" / "train.sbatch"]
    number = work.lab.run(*words, work.runs / "a", cwd=work.folder, **work.environment).stdout.strip()
    assert work.lab.wait_for_job(number)["ExitCode"] == "4:0"
    assert "the plan is for 2 nodes, but the job has 1" in (work.folder / "l").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--partition", "mian"],
            ["there is no partition 'mian' here", "did you mean 'main'?", "high, low, main, short"],
        ),
        (["--processes-per-node", 3, "--device", "cuda"], ["no node has 3 GPUs; the most is 2", "and more --nodes"]),
        (["--nodes", 3], ["3 nodes are more than the 2 there are"]),
        (
            ["--partition", "short", "--time", "6", "--memory", "17G"],
            ["--time 6 is more than this partition allows, 00:05:00", "no node has 17G of memory; the most is 16000M"],
        ),
        (["--time", "soon", "--account", "a;b"], ["where: --time", "where: --account", "minutes, HH:MM:SS"]),
        (["--constraint", "nvlink"], ["sbatch refused: ", "nvalid feature", "sinfo -o '%P %f'"]),
        (["--profile", "none"], ["there is no profile 'none'", "write [profile.none]"]),
        (["--nodes", 2, "--strategy", "single"], ["strategy single is one process, not 2"]),
        (["--set", "training.batch_size=7", "--nodes", 2], ["7 cannot be shared evenly by 2 processes"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_there(work: Work, words: list[object], said: list[str]) -> None:
    device = [] if "--device" in words else ["--device", "cpu"]
    code = 4 if {"--profile", "--constraint"} & set(words) else 3
    done = work.launch("submit", "tiny.py", "--name", "a", *device, *words, code=code)
    for part in said:
        assert part in done.stderr
    assert not (work.runs / "a").exists()


def test_where_there_is_no_slurm_it_says_so(work: Work) -> None:
    command = f"PATH=/nowhere exec {sys.executable} -m launcher submit tiny.py"
    done = work.lab.run("sh", "-c", command, cwd=work.folder, check=False, **work.environment)
    assert done.returncode == 4
    assert "there is no Slurm here: the command `sinfo` is not found" in done.stderr
    assert "train here with `launcher run`" in done.stderr
