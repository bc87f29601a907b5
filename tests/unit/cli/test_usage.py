"""Options that do not exist: told in our words, with the one that was meant."""

from __future__ import annotations

import dataclasses
import inspect
import json

import pytest

from launcher.cli.app import main
from launcher.cli.submit_verbs import submit
from launcher.cli.usage import OURS
from launcher.cluster.job import Profile
from launcher.jobs.submission import merged


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("words", [["run", "--json"], ["run", "x.py", "--processes", "two", "--json"]])
def test_a_command_line_that_lacks_something_is_told_as_json_too(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 2 and told["error"] == "usage"
    assert [problem["where"] for problem in told["problems"]] == ["launcher run"]


def test_a_recipe_without_a_verb_is_told_how_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert "do:    launcher run 'my x.py'\n" in complaint(capsys, "my x.py", "--name", "a")


@pytest.mark.parametrize(
    ("words", "what", "do"),
    [
        (["submit", "x.py", "--partitoin", "a"], "no option --partitoin", "did you mean '--partition'?"),
        (["submit", "x.py", "--mem", "64G"], "no option --mem", "did you mean '--memory'? It is called so here"),
        (["submit", "x.py", "-p", "a"], "no option -p", "did you mean '--partition'? It is called so here"),
        (["submit", "x.py", "--gres=gpu:2"], "no option --gres", "did you mean '--processes-per-node'?"),
        (["submit", "x.py", "--dependency=afterok:1"], "no option --dependency", "did you mean '--after'?"),
        (["submit", "x.py", "--wrap=x"], "no option --wrap", "what a job runs is the recipe"),
        (["submit", "x.py", "-o", "x"], "no option -o", "slurm.log"),
        (["submit", "x.py", "--zzz"], "no option --zzz", "see `launcher submit --help`"),
        (["run", "x.py", "--proceses", "2"], "no option --proceses", "did you mean '--processes'?"),
        (["run", "x.py", "--mem", "2"], "no option --mem", "see `launcher run --help`"),
    ],
)
def test_an_unknown_option_is_told_with_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str], words: list[str], what: str, do: str
) -> None:
    told = complaint(capsys, *words)
    assert f"launcher: there is {what}\n" in told
    assert do in told.partition("  do:    ")[2]


def test_it_is_json_for_those_who_asked_for_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["submit", "x.py", "--json", "--mem", "1"])
    told = json.loads(capsys.readouterr().out)
    assert told["problems"][0]["what"] == "there is no option --mem"


def test_other_complaints_are_clicks_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Missing argument" in complaint(capsys, "submit")
    assert "--nodes" in complaint(capsys, "submit", "x.py", "--nodes", "many")


def test_every_option_that_is_suggested_exists() -> None:
    from typer.main import get_command

    from launcher.cli.app import app

    submit = get_command(app).commands["submit"]  # type: ignore[attr-defined]
    known = {name for parameter in submit.params for name in parameter.opts}
    assert len(OURS) == 12
    assert set(OURS) <= known
    assert not {theirs for names in OURS.values() for theirs in names} & known


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status", "长" * 100], "there is no run '长长"),
        (["predict", "长" * 100, "好"], "there is no run '长长"),
        (["show", "x" * 300], "no file can be called 'xxx"),
        (["run", "recipes/reviews_zh.py", "--runs", "x" * 300, "--dry-run"], "File name too long"),
        (["recipes", "copy", "reviews_zh", "--to", "x" * 300], "no file can be called 'xxx"),
        (["plan", "recipes/reviews_zh.py", "--gpu-memory", "9" * 400], "is no size of memory"),
        (["tensorboard", "--port", "70000"], "65535"),
    ],
)
def test_values_that_nothing_can_have_are_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code not in (0, 1, None)
    assert told in capsys.readouterr().err


def test_every_key_of_a_profile_that_is_a_value_is_an_option_of_submit() -> None:
    """Everything but the site's set-up file and the scratch folder."""
    keys = {field.name for field in dataclasses.fields(Profile)} - {"setup", "scratch", "kind"}
    assert keys <= set(inspect.signature(submit).parameters)
    assert merged(Profile(exclusive=True), {"exclusive": None}).exclusive
    assert not merged(Profile(exclusive=True), {"exclusive": False}).exclusive
