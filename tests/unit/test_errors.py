"""Errors: one tree, one shape, safe to print, carried whole between processes."""

from __future__ import annotations

import pytest

from launcher import DataError, LauncherError, PlanError, WorkerError
from launcher.errors import FAMILIES, Problem, did_you_mean, from_document, printable


def test_a_problem_says_what_where_and_what_to_do() -> None:
    assert Problem("it broke").lines() == ["it broke"]
    assert Problem("it broke", "here", "mend it").lines() == ["it broke", "  where: here", "  do:    mend it"]
    assert Problem("it broke", do="mend it").lines() == ["it broke", "  do:    mend it"]


def test_an_error_tells_all_its_problems_in_order() -> None:
    error = PlanError(Problem(f"problem {n}", f"place {n}") for n in range(3))
    assert str(error).splitlines()[::2] == ["problem 0", "problem 1", "problem 2"]
    assert [problem.where for problem in error.problems] == ["place 0", "place 1", "place 2"]
    assert PlanError(Problem("one")).problems == [Problem("one")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\rb"),
        ("a\x00b\x7f\x9b", "a\\x00b\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("房间很干净，服务也好", "房间很干净，服务也好"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_control_characters_never_reach_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown in str(DataError(Problem(text)))
    assert shown in str(DataError(Problem("x", text)))
    assert shown in str(DataError(Problem("x", do=text)))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_an_error_survives_the_way_to_another_process(family: type[LauncherError]) -> None:
    error = family([Problem("a\x1b", "b", "c"), Problem("d")])
    again = from_document(error.document())
    assert type(again) is family
    assert again.problems == error.problems
    assert again.exit_code == error.exit_code


def test_a_document_of_unknown_family_or_shape_becomes_a_worker_error() -> None:
    strange = from_document({"error": "novel", "problems": [{"what": "x", "more": 1}]})
    assert type(strange) is WorkerError and strange.problems == [Problem("x")]
    assert type(from_document({})) is WorkerError


def test_did_you_mean_offers_the_nearest_or_everything() -> None:
    assert did_you_mean("rnak", ["rank", "alpha"]) == "did you mean 'rank'?"
    assert did_you_mean("Lora", ["LoRA", "Full"]) == "did you mean 'LoRA'?"
    assert did_you_mean("zzz", ["rank", "alpha"]) == "known: alpha, rank"
    assert did_you_mean("zzz", []) == ""
