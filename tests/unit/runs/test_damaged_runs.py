"""One damaged file in one run is told by name, in a line, and no other run is concerned."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import finished, made

from launcher.cli import compare, control
from launcher.cli import runs as watch
from launcher.errors import BackendError, LauncherError, refused_by_the_system
from launcher.json_files import write_json
from launcher.plan.plan import Plan
from launcher.runs import run_folder
from launcher.runs.run_files import SHAPES, misfit
from launcher.runs.run_folder import RunFolder

PLAN = Plan("/x.py", "d", {}, "ddp", {}, "cpu", 2, 1, 8, 4, 1, 100, 10, "fp32", "/cache", {})
DEEP = "[" * 100_000
CONTENTS = (
    "",
    "garbage",
    "[1, 2]",
    "null",
    "3",
    '"text"',
    DEEP,
    '{"a": ' * 100_000,
    "{}",
    '{"\\u001b[31m": []}',
    "\0" * 64,
)
FILES = (
    *("plan.json", "recipe.json", "outcome.json", "attempts/1/origin.json", "attempts/1/outcome.json"),
    *("events.jsonl", "evaluations.jsonl", "lease.json", "job.json"),
    *("attempts/1/rank-0.pulse.json", "attempts/1/notes.jsonl", "attempts/1/ending.json"),
)
VERBS: dict[str, Callable[[Path], object]] = {
    "list": lambda runs: compare.show_list(runs, as_json=False),
    "list --json": lambda runs: compare.show_list(runs, as_json=True),
    "compare": lambda runs: compare.show_comparison([], runs, as_json=False),
    "compare --json": lambda runs: compare.show_comparison([], runs, as_json=True),
    "status": lambda runs: watch.show_status("bad", runs, as_json=False),
    "logs": lambda runs: watch.show_logs("bad", runs, 0, follow=False),
    "resume": lambda runs: control.resume_run("bad", runs, as_json=False, detach=False),
    "cancel": lambda runs: control.cancel_run("bad", runs, as_json=False),
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """`good`, finished, and `bad`, of which a file is going to be damaged."""
    root = tmp_path / "runs"
    for minute, name in enumerate(("bad", "good")):
        values = {"training.seed": minute, "task": "TextClassification"}
        folder = made(root, name, minute + 1, values, finished(0.8, 0.9))
        write_json(folder.plan, PLAN.document())
        write_json(folder.outcome, finished(0.8, 0.9))
        lines = [{"attempt": 1, "step": 10, "loss": 0.5, "examples_per_second": 9.0, "accuracy": 0.8}]
        for path in (folder.events, folder.evaluations):
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        folder.attempt(1).log(0).write_text("trained\n")
    return root


def told_by(verb: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What it prints, or the sentence that it ends with; anything else is a traceback."""
    try:
        VERBS[verb](runs)
    except LauncherError as error:
        assert all(problem.what and len(problem.what) < 300 for problem in error.problems), error
        return capsys.readouterr().out + str(error)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_in_a_file_each_verb_says_a_line_and_the_other_run_is_as_ever(
    runs: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs / "bad" / name
    if name == "attempts/1/rank-0.pulse.json":  # what a power cut leaves of a run that trains
        (runs / "bad" / "outcome.json").unlink()
        (runs / "bad" / "attempts/1/outcome.json").unlink()
    for content in (*CONTENTS, None):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        for verb in VERBS:
            told = told_by(verb, runs, capsys)
            assert "\x1b" not in told and "\0" not in told
            if verb.startswith(("list", "compare")):
                assert "good" in told and "0.8" in told and "finished" in told, f"{verb} {content!r:.30}"
                assert "bad" in told, f"{verb} {content!r:.30}"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("plan.json", "[1, 2]", "plan.json is damaged: it is not an object with fields"),
        ("plan.json", "{}", "plan.json is damaged: steps is missing"),
        ("plan.json", None, "plan.json is missing"),
        (
            "plan.json",
            '{"steps": "many", "world_size": 2, "strategy": "ddp"}',
            "steps has a value of the wrong kind",
        ),
        (
            "recipe.json",
            '{"values": {"training.seed": 3}}',
            "recipe.json is damaged: values.training.seed is not an object",
        ),
        ("attempts/1/outcome.json", '{"steps": 3}', "outcome.json is damaged: status is missing"),
        ("attempts/1/outcome.json", '{"status": "finished", "metrics": 3}', "metrics has a value of the wrong kind"),
        (
            "attempts/1/outcome.json",
            '{"status": "finished", "metrics": {"test": [1]}}',
            "metrics.test has a value of the wrong kind",
        ),
        ("attempts/1/outcome.json", '{"status": "failed", "problems": [{"what": 3}]}', "problems.what has a value"),
        ("job.json", '{"job": {}}', "job.json is damaged: job has a value of the wrong kind"),
        ("lease.json", '{"pid": "x"}', "lease.json is damaged: pid has a value of the wrong kind"),
    ],
)
def test_the_file_and_what_is_wrong_in_it_are_named(
    runs: Path, name: str, content: str | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs / "bad" / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    compare.show_list(runs, as_json=False)
    lines = capsys.readouterr().out
    assert told.replace(" ", "") in "".join(lines.split()), lines
    (row,) = [line for line in lines.splitlines() if line.startswith("bad")]
    assert "damaged" in row
    compare.show_comparison([], runs, as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bad is damaged: ")]
    assert told in line and str(path) in line
    compare.show_list(runs, as_json=True)
    problems = {run["run"]: run["problem"] for run in json.loads(capsys.readouterr().out)["runs"]}
    assert told in problems["bad"] and problems["good"] is None
    assert told in told_by("status", runs, capsys)


def test_nothing_in_a_runs_files_steers_the_terminal(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = RunFolder((runs / "bad").resolve())
    steering = "\x1b[31m\x07\x9b2J"
    write_json(bad.attempt(1).outcome, {**finished(0.8, 0.9), "status": f"{steering}finished"})
    write_json(bad.recipe, {"values": {"training.select_by": {"value": "accuracy"}, "task": {"value": steering}}})
    bad.attempt(1).log(0).write_text(f"one {steering}\ttwo\n", encoding="utf-8")
    for verb in VERBS:
        told = told_by(verb, runs, capsys)
        assert not set("\x1b\x07\x9b") & set(told), verb
    watch.show_logs("bad", runs, 0, follow=False)
    assert capsys.readouterr().out == "one \\x1b[31m\\x07\\x9b2J\ttwo\n"


def test_a_shape_says_where_a_value_does_not_fit() -> None:
    assert misfit(PLAN.document(), SHAPES["plan.json"]) == ""
    assert misfit({**PLAN.document(), "overrides": {"a": 1}}, SHAPES["plan.json"]) == (
        "overrides.a has a value of the wrong kind"
    )
    assert misfit({"continues": {"attempt": 1}}, SHAPES["origin.json"]) == "continues.step is missing"
    assert misfit({"continues": None}, SHAPES["origin.json"]) == ""
    assert misfit({"pid": True}, SHAPES["lease.json"]) == "pid has a value of the wrong kind"


def test_a_run_that_may_not_be_looked_at_is_told_with_its_owner(runs: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user for a moment")
    for folder in (runs, *runs.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (runs / "bad").chmod(0o700)
    (runs / "good" / "plan.json").chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(BackendError, match="run bad cannot be looked at: Permission denied; it belongs to root"):
            run_folder.find("bad", runs)
        with pytest.raises(BackendError, match="the file cannot be read: Permission denied; it belongs to root"):
            watch.show_status("good", runs, as_json=False)
        with pytest.raises(PermissionError) as refused:
            (runs / "good" / "new").touch()
        told = refused_by_the_system(refused.value)
        assert told is not None and "belongs to root" in str(told) and "ask its owner" in str(told)
    finally:
        os.seteuid(0)
