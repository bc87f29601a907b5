"""`launcher list`, `compare` and `status` of several: what a line says of a run, and what Tab offers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_runs import finished, made

from launcher.cli import compare
from launcher.cli.summary import status_in_words, summaries
from launcher.cluster import slurm
from launcher.cluster.job_status import JobStatus
from launcher.cluster.scheduler import Queued
from launcher.errors import BackendError
from launcher.json_files import write_json
from launcher.runs.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs that differ in seed and rank; the third has no figures yet."""
    root = tmp_path / "runs"
    figures = {"seconds": {"total": 65.2}, "examples_per_second": 1234.56, "peak_memory_bytes": [5_000_000, 9_000_000]}
    made(root, "low", 1, {"training.seed": 1, "peft.rank": 4, "data.labels": ["好"]}, finished(0.8, 0.9, **figures))
    made(root, "high", 2, {"training.seed": 2, "peft.rank": 4, "data.labels": ["好"]}, finished(0.9, 0.7))
    made(root, "open", 3, {"training.seed": 3, "data.labels": ["好"]}, None)
    return root


def test_the_best_comes_first_by_validation_and_runs_without_a_figure_last(runs: Path) -> None:
    (comparison,) = compare.compared([RunFolder((runs / name).resolve()) for name in ("open", "low", "high")])
    assert [run.run for run in comparison.runs] == ["high", "low", "open"], "the test split must not choose"
    assert comparison.metric == "accuracy"
    assert comparison.differing == ["training.seed", "peft.rank"], "labels and select_by are the same in all"
    assert [comparison.field(run, "peft.rank") for run in comparison.runs] == [4, 4, None]


def test_runs_of_other_kinds_of_nouns_differ(tmp_path: Path) -> None:
    kinds = {"a": {"kind": "Full"}, "b": {"kind": "LoRA", "placement": {"kind": "All"}}}
    for name, peft in kinds.items():
        folder = made(tmp_path, name, 1, {}, None)
        told = json.loads(folder.recipe.read_text())
        write_json(folder.recipe, {**told, "recipe": {"task": {"kind": "X"}, "peft": peft}})
    (comparison,) = compare.compared([RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")])
    assert comparison.differing == ["peft", "peft.placement"]
    assert [comparison.field(run, "peft") for run in comparison.runs] == ["Full", "LoRA"]


def test_where_less_is_better_the_least_comes_first(tmp_path: Path) -> None:
    for name, loss in (("a", 0.5), ("b", 0.1)):
        outcome = {"status": "finished", "steps": 1, "metrics": {"validation": {"loss": loss}}}
        made(tmp_path, name, 1, {"training.select_by": "loss"}, outcome)
    (comparison,) = compare.compared([RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")])
    assert [run.run for run in comparison.runs] == ["b", "a"]
    assert comparison.differing == []


def test_a_comparison_reads_as_a_table(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    compare.show_comparison(["low", "o*"], runs, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "a task, by validation accuracy, the best first",
        "run   status    step     chosen  validation  test    seed  rank  time  examples/s  memory",
        "low   finished  100/100  -       0.8000      0.9000  1     4     1:05  1,234.6     9 MB",
        "open  died      0/100    -       -           -       3     -     -     -           -",
    ]


def test_a_comparison_as_json_has_every_figure(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare.show_comparison([], runs, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["metric"], told["differing"]) == ("accuracy", ["training.seed", "peft.rank"])
    low = told["runs"][1]
    assert low["differing"] == {"training.seed": 1, "peft.rank": 4}
    assert (low["seconds"], low["examples_per_second"], low["peak_memory_bytes"]) == (65.2, 1234.56, 9_000_000)
    assert low["validation"]["accuracy"] == 0.8
    assert "values" not in low


def test_columns_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    for number in (1, 2):
        values = {"peft.dropout": number, "training.dropout": number, "data.train": "训" * 40 + str(number)}
        made(tmp_path, f"r{number}", number, values, None)
    compare.show_comparison([], tmp_path, as_json=False)
    _, heads, first, *_ = capsys.readouterr().out.splitlines()
    assert heads.split()[6:9] == ["peft.dropout", "training.dropout", "train"]
    assert "训" * 31 + "…" in first
    assert first.index("训") == heads.index(" train ") + 1
    before = heads[: heads.index("time")]
    assert len(before) == first.index("训") + 2 * 31 + 1 + 2, "Chinese takes two columns each"


def test_nothing_of_a_run_steers_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    for number in (1, 2):
        values = {"embedding.model": f"a\x1b[2J\n{number}", "task.source": f"def f():\n    return {number}\n" * 9}
        values |= {"training.select_by": "acc\x1b[31m"}
        metrics = {"validation": {"acc\x1b[31m": 0.5}}
        made(tmp_path, f"r{number}", number, values, {"status": "\x1b[31mfinished", "steps": 9, "metrics": metrics})
    compare.show_list(tmp_path, as_json=False)
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 3 and "\x1b" not in told and told.count(r"\x1b[31mfinished") == 2
    compare.show_comparison([], tmp_path, as_json=False)
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 4 and "\x1b" not in told
    assert r"a\x1b[2J\n1" in told
    assert "return" not in told, "of a file beside the recipe the digest is told"


def test_a_list_is_oldest_first_and_asks_the_cluster_once(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    for name, job in (("low", 6), ("open", "8_1")):
        write_json(runs / name / "job.json", {"job": job})
    answer = {"8_1": Queued("8_1", "PENDING", "Priority", 0, "")}
    monkeypatch.setattr(slurm, "look_up_all", lambda numbers: asked.append(list(numbers)) or answer)
    compare.show_list(runs, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        *(["run", "status", "step"], ["low", "finished", "100/100"]),
        *(["high", "finished", "100/100"], ["open", "pending", "0/100"]),
    ]
    assert lines[1].split()[3:6] == ["-", "accuracy", "0.8000"]
    assert [line.split()[-1] for line in lines] == ["job", "6", "-", "8_1"]
    assert asked == [["8_1"]], "of a finished run there is nothing to ask"


def test_a_list_of_nothing_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare.show_list(tmp_path / "none", as_json=False)
    assert capsys.readouterr().out == f"there are no runs in {tmp_path}/none; start one: launcher run RECIPE\n"
    compare.show_list(tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"runs": []}
    with pytest.raises(BackendError, match="there are no runs"):
        compare.show_comparison([], tmp_path, as_json=False)


def test_a_run_that_goes_on_tells_its_newest_figures(runs: Path) -> None:
    folder = RunFolder((runs / "open").resolve())
    write_json(folder.attempt(1).pulse(0), {"section": "train", "step": 40, "steps": 100, "time": time.time()})
    lines = [{"step": step, "attempt": 1, "accuracy": step / 100} for step in (10, 30)]
    folder.evaluations.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (told,) = summaries([folder])
    assert (told.step, told.value("validation"), told.value("test")) == (40, 0.3, None)


def test_how_a_run_stands_is_one_word_whatever_is_known(runs: Path) -> None:
    folder = RunFolder((runs / "open").resolve())
    pending, gone = (JobStatus(7, state, "", 0, "", "Slurm") for state in ("pending", "CANCELLED"))
    assert status_in_words(folder, None) == "died"
    assert status_in_words(folder, pending) == "pending"
    assert status_in_words(folder, gone) == "died"
    beat = {"section": "train", "step": 1, "steps": 9, "time": time.time()}
    write_json(folder.attempt(1).pulse(0), beat)
    assert status_in_words(folder, None) == "died", "it was driven here, and nobody drives it"
    write_json(folder.job, {"job": 7})
    assert status_in_words(folder, None) == "running", "the cluster does not answer, but the run is heard"
    assert status_in_words(folder, gone) == "died"
    write_json(folder.attempt(1).pulse(0), {**beat, "time": time.time() - 100})
    assert status_in_words(folder, None) == "died"
    fresh = RunFolder(runs / "fresh")
    fresh.path.mkdir()
    assert status_in_words(fresh, gone) == "not started"
    assert status_in_words(RunFolder(runs / "low"), gone) == "finished"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("status l", {"low"}),
        ("compare low o", {"open"}),
        ("cancel arr", {"array"}),
        ("resume arr", set()),
        ("status --runs elsewhere ", {"far"}),
        ("submit x.py --after h", {"high"}),
        ("recipes copy reviews_zh_a", {"reviews_zh_adapter"}),
        ("run mi", {"mine.py"}),
        ("run sub/", {"sub/deep.py"}),
        ("ca", {"cancel"}),
    ],
)
def test_tab_offers_names_and_loads_nothing_heavy(runs: Path, typed: str, offered: set[str]) -> None:
    work = runs.parent
    made(work / "elsewhere", "far", 1, {}, None)
    (runs / "array").mkdir()
    write_json(runs / "array" / "array.json", {"runs": []})
    (work / "sub").mkdir()
    for name in ("mine.py", "minutes.txt", "sub/deep.py"):
        (work / name).touch()
    words = f"launcher {typed}"
    environment = {
        **os.environ,
        **{"_LAUNCHER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
        **{"PYTHONPATH": str(ROOT), "PYTHONPROFILEIMPORTTIME": "1"},
    }
    done = subprocess.run([sys.executable, "-m", "launcher"], cwd=work, env=environment, capture_output=True, text=True)
    assert set(done.stdout.split()) == offered, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "launcher.cli.app" in loaded
    assert loaded & {"torch", "transformers", "datasets", "numpy", "rich"} == set()
