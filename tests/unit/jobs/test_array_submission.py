"""Several runs as one job array: which they are, what they are called, all of them judged, all or none handed over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.cli.control import cancel_run
from launcher.cli.overrides import parse_each
from launcher.cluster import job_status, slurm
from launcher.cluster.inventory import Cluster, Nodes, Partition
from launcher.cluster.job import Profile
from launcher.cluster.scheduler import Queued
from launcher.errors import BackendError, LauncherError, PlanError, Problem, RecipeError
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.jobs import array_submission, submission
from launcher.jobs.array_submission import ArraySubmission, combinations
from launcher.jobs.submission import ClusterView, JobRequest
from launcher.launch.request import Request
from launcher.plan import plan
from launcher.plan.placement import Placement
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder

RECIPE = """
from launcher import Full, LabelledFiles, MeanPooling, RandomVectors, Recipe, TextClassification, Training

recipe = Recipe(
    task=TextClassification(),
    data=LabelledFiles(train={"good": "good.txt", "bad": "bad.txt"}),
    embedding=RandomVectors(dimension=16, encoder=MeanPooling(hidden=8)),
    peft=Full(),
    training=Training(batch_size=8, epochs=1),
)
"""
HERE = Facts(cores=8, memory_bytes=1 << 34)
NODES = Nodes(count=4, cores=8, memory_bytes=1 << 34, gpus=0, gpu_type="")
FOUND = ClusterView("slurm", Cluster((Partition("main", True, None, (NODES,)),)), [], HERE, None)


@pytest.fixture
def base(tmp_path: Path) -> Request:
    """Two runs on CPUs would be made from this."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(RECIPE)
    placement = Placement(strategy="auto", device="cpu")
    return Request(tmp_path / "one.py", {"training.dropout": "0"}, placement, "a", tmp_path / "runs")


def seeds(base: Request, *values: str, terms: JobRequest | None = None, at_once: int | None = None) -> ArraySubmission:
    requests = combinations(base, [base.recipe], {"training.seed": values})
    return array_submission.prepare(requests, "a", terms or JobRequest(Profile()), FOUND, at_once)


def plans(array: ArraySubmission) -> list[plan.Plan]:
    prepared: dict[str, Any] = {"folder": "/cache/0123", "rows": {"train": 80, "validation": 10, "test": 10}}
    return [plan.make(m.loaded, HERE, m.request.placement, prepared, {}) for m in array.members]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("training.seed=1,2", {"training.seed": ["1", "2"]}),
        ("training.seed=[1, 2]", {"training.seed": ["1", "2"]}),
        ("training.optimizer=adamw,sgd", {"training.optimizer": ["adamw", "sgd"]}),
        ('peft.targets=["a,b", null, ["x", "y"]]', {"peft.targets": ["a,b", "null", '["x", "y"]']}),
        ("training.seed=7", {"training.seed": ["7"]}),
    ],
)
def test_values_are_read_with_commas_or_as_a_list(typed: str, expected: dict[str, list[str]]) -> None:
    assert parse_each([typed], {}) == expected


def test_all_that_is_wrong_with_them_is_told_at_once() -> None:
    typed = ["training.seed", "=1", "a=1,,2", "b=[]", "c=1,1", "d=1,2", "d=3", "e=4", "f=5"]
    with pytest.raises(RecipeError) as told:
        parse_each(typed, {"e": "1"})
    problems = told.value.problems
    assert [problem.what.partition(":")[0] for problem in problems] == [
        *("--each training.seed", "--each =1", "--each a=1,,2", "--each b=[]", "--each c=1,1"),
        *("d is given twice", "e is given twice"),
    ]
    assert [problem.where for problem in problems[-2:]] == ["--each", "--set and --each"]


def test_every_recipe_meets_every_combination_and_the_names_say_which(base: Request) -> None:
    recipes = [base.recipe, base.recipe.with_name("two.py")]
    made = combinations(base, recipes, {"training.seed": ["1", "2"], "training.learning_rate": ["1e-3", "0.1"]})
    assert [request.name for request in made] == [
        f"a-{recipe}-seed-{seed}-learning_rate-{rate}"
        for recipe in ("one", "two")
        for seed in (1, 2)
        for rate in ("1e-3", "0.1")
    ]
    assert made[5].recipe == recipes[1]
    assert made[5].overrides == {
        **{"training.dropout": "0", "training.seed": "1", "training.learning_rate": "0.1"},
    }
    assert [request.name for request in combinations(base, [base.recipe], {})] == ["a"]


def test_values_that_read_alike_still_have_names_of_their_own(base: Request) -> None:
    made = combinations(base, [base.recipe], {"peft.targets": ['["x"]', "'x'", "…"]})
    assert [request.name for request in made] == ["a-targets-x", "a-targets-x-1", "a-targets-x-2"]


def test_the_array_is_one_job_and_its_runs_are_told_by_a_folder(base: Request) -> None:
    array = seeds(base, "1", "2", "3", at_once=2)
    words = array.words()
    assert {"--array=0-2%2", "--job-name=a", "--nodes=1"} <= set(words)
    assert f"--output={base.runs.resolve()}/a/slurm-%a.log" in words
    assert words[-1] == str(base.runs.resolve() / "a")
    assert "--array=0-2" in seeds(base, "1", "2", "3").words()
    assert not base.runs.exists(), "nothing is made before it is handed over"


def test_what_is_wrong_with_each_run_is_told_at_once_and_by_whom(base: Request) -> None:
    with pytest.raises(LauncherError) as told:
        seeds(base, "1", "x", "2", "y")
    assert [(problem.what, problem.where) for problem in told.value.problems] == [
        ("Training.seed: input should be a valid integer (got 'x')", "run a-seed-x: --set training.seed=x"),
        ("Training.seed: input should be a valid integer (got 'y')", "run a-seed-y: --set training.seed=y"),
    ]
    with pytest.raises(PlanError) as shared:
        seeds(base, "1", "2", terms=JobRequest(Profile(partition="mian")))
    (problem,) = shared.value.problems
    assert problem == Problem("there is no partition 'mian' here", "--partition", "did you mean 'main'? known: main"), (
        "what is wrong with all of them is told once"
    )
    with pytest.raises(BackendError, match="1001 runs are more than an array takes, 1000"):
        seeds(base, *map(str, range(1001)))


def test_what_the_cluster_and_what_the_recipe_cannot_give_is_told_together(
    base: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_facts, "file_system", lambda path: "tmpfs")
    requests = combinations(base, [base.recipe], {"training.batch_size": ["7", "8"]})
    with pytest.raises(PlanError) as told:
        array_submission.prepare(requests, "a", JobRequest(Profile(), nodes=5, processes_per_node=2), FOUND, None)
    whats = [(problem.what, problem.where) for problem in told.value.problems]
    assert [what for what, _ in whats[:2]] == [
        "5 nodes are more than the 4 there are",
        f"{base.runs} lies in the memory of this machine (tmpfs): no node can see it",
    ]
    assert "cannot be shared evenly by 10 processes" in whats[2][0]
    assert whats[2][1].startswith("run a-batch_size-7: "), "the other one's own complaint is another"
    assert len(whats) == 4


def test_a_folder_that_somebody_made_meanwhile_is_left_alone(base: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    array = seeds(base, "1", "2")
    told = plans(array)
    array.folder.path.mkdir(parents=True)
    (array.folder.path / "theirs").touch()
    monkeypatch.setattr(slurm, "submit", lambda words, environment: pytest.fail("nothing is to be submitted"))
    with pytest.raises(BackendError, match="cannot be written: File exists"):
        array_submission.hand_over(array, told)
    assert [path.name for path in base.runs.rglob("*")] == ["a", "theirs"]


def test_an_array_is_cancelled_whole_and_a_run_of_it_alone(
    base: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = {"12_0": "COMPLETED", "12_1": "RUNNING", "12_2": "PENDING"}
    ended: list[Any] = []
    monkeypatch.setattr(slurm, "submit", lambda words, environment: 12)
    monkeypatch.setattr(slurm, "look_up", lambda number: Queued(number, states[number], "", 0, ""))
    monkeypatch.setattr(slurm, "cancel", ended.append)
    array = seeds(base, "1", "2", "3")
    array_submission.hand_over(array, plans(array))
    cancel_run("a-seed-3", base.runs, as_json=False)
    assert ended == ["12_2"]
    cancel_run("a", base.runs, as_json=False)
    assert ended == ["12_2", "12_1", "12_2"], "the one that is over is no reason to stop"
    assert "job 12_1 was told to save and end; go on later with `launcher resume a-seed-2`" in capsys.readouterr().out
    states |= {"12_1": "CANCELLED", "12_2": "CANCELLED"}
    with pytest.raises(BackendError, match="run a-seed-2 has no job that waits or runs: job 12_1 is CANCELLED"):
        cancel_run("a", base.runs, as_json=False)


def test_all_runs_are_handed_over_as_tasks_of_one_job(base: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    array = seeds(base, "1", "2")
    given: list[Any] = []
    monkeypatch.setattr(slurm, "submit", lambda words, environment: given.append(words) or 12)
    assert array_submission.hand_over(array, plans(array)) == 12
    assert given == [array.words()]
    runs = array.folder.runs()
    assert [run.name for run in runs] == ["a-seed-1", "a-seed-2"]
    assert [read_json(run.job)["job"] for run in runs] == ["12_0", "12_1"]
    assert [read_json(run.plan)["overrides"]["training.seed"] for run in runs] == ["1", "2"]
    options = read_json(runs[1].job)["options"]
    assert (options["name"], options["array"]) == ("a-seed-2", None), "resumed alone it is no array"


def test_all_tasks_come_after_the_runs_that_were_named(base: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    terms, found = (
        JobRequest(Profile(), after=(RunFolder(base.runs / "first"),)),
        replace(FOUND, dependency="afterok:7"),
    )
    requests = combinations(base, [base.recipe], {"training.seed": ["1", "2"]})
    array = array_submission.prepare(requests, "a", terms, found, None)
    assert {"--dependency=afterok:7", "--kill-on-invalid-dep=yes"} <= set(array.words())
    monkeypatch.setattr(slurm, "submit", lambda words, environment: 12)
    array_submission.hand_over(array, plans(array))
    told = read_json(array.folder.runs()[0].job)
    assert told["after"] == [str(base.runs / "first")]
    assert told["options"]["dependency"] is None, "a number would be another job's one day"


def test_where_slurm_refuses_nothing_is_left(base: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    array = seeds(base, "1", "2")

    def refuse(words: list[str], environment: dict[str, str]) -> int:
        assert len(list(base.runs.iterdir())) == 3
        raise BackendError(Problem("sbatch refused"))

    monkeypatch.setattr(slurm, "submit", refuse)
    with pytest.raises(BackendError, match="sbatch refused"):
        array_submission.hand_over(array, plans(array))
    assert list(base.runs.iterdir()) == []


def test_an_array_is_replaced_only_on_request_and_never_while_it_lives(
    base: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"12_0": "COMPLETED", "12_1": "RUNNING"}
    monkeypatch.setattr(slurm, "submit", lambda words, environment: 12)
    monkeypatch.setattr(slurm, "look_up", lambda number: Queued(number, states[number], "", 0, ""))
    first = seeds(base, "1", "2")
    array_submission.hand_over(first, plans(first))
    other = combinations(base, [base.recipe], {"training.seed": ["3", "4"]})
    with pytest.raises(BackendError, match="there is an array 'a' already"):
        array_submission.prepare(other, "a", JobRequest(Profile()), FOUND, None)
    again = [replace(request, overwrite=True) for request in other]
    with pytest.raises(BackendError, match="runs of the array 'a' wait or run: a-seed-2"):
        array_submission.prepare(again, "a", JobRequest(Profile()), FOUND, None)
    states["12_1"] = "CANCELLED"
    made = array_submission.prepare(again, "a", JobRequest(Profile()), FOUND, None)
    array_submission.hand_over(made, plans(made))
    assert [run.name for run in made.folder.runs()] == ["a-seed-3", "a-seed-4"]
    assert job_status.standing(made.folder.runs()[0]) is not None
    (base.runs / "b").mkdir()
    with pytest.raises(BackendError, match="'b' exists already and is not an array"):
        array_submission.prepare(again, "b", JobRequest(Profile()), FOUND, None)


def test_a_torch_without_gpus_asks_the_cluster_for_none_unless_told(
    base: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = replace(NODES, gpus=2)
    found = replace(FOUND, cluster=Cluster((Partition("main", True, None, (nodes,)),)))
    monkeypatch.setattr(machine_facts, "versions", lambda: {"torch": "2.9.0+cpu"})

    def asked(device: str) -> tuple[str, int]:
        request = replace(base, placement=Placement(strategy="auto", device=device))
        made = submission.prepare(request, JobRequest(Profile()), found)
        return made.request.placement.device, made.job.gpus_per_node

    assert asked("auto") == ("cpu", 0)
    assert asked("cuda") == ("cuda", 2)
    assert submission.gpus_in_vain(replace(base, placement=Placement()), FOUND) == "", "there are none to be asked for"
    monkeypatch.setattr(machine_facts, "versions", lambda: {"torch": "2.9.0+cu128"})
    assert asked("auto") == ("auto", 2)
