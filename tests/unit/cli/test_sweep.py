"""`launcher run --each`: every combination, one after the other; what breaks, what is stopped, what goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_runs import finished, made

from launcher.cli import sweep
from launcher.errors import BackendError, LauncherError, Problem, RecipeError
from launcher.launch import run_request
from launcher.launch.request import Request

EACH = {"training.seed": ["1", "2"], "training.dropout": ["0", "0.5"]}
NAMES = [f"a-seed-{seed}-dropout-{dropout}" for seed in (1, 2) for dropout in ("0", "0.5")]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Request]]:
    """Sweep with runs that end with these codes at once; what each was asked for."""

    def run(codes: dict[str, int], as_json: bool = False, **more: Any) -> list[Request]:
        requests: list[Request] = []

        def run_recipe(request: Request, dry_run: bool, told_as_json: bool, began: float) -> int:
            requests.append(request)
            code = codes.get(str(request.name), 0)
            outcome = finished(0.5, 0.5) if code == 0 else {"status": "stopped" if code == 75 else "failed", "steps": 3}
            if not (tmp_path / str(request.name)).exists():
                made(tmp_path, str(request.name), len(requests), dict(request.overrides), outcome)
            if told_as_json:
                print(json.dumps({"run": request.name}))
            return code

        monkeypatch.setattr(run_request, "gates", lambda request: None)
        monkeypatch.setattr(run_request, "find_folder", lambda request, loaded: None)
        monkeypatch.setattr(sweep, "run_recipe", run_recipe)
        request = Request(Path("x.py"), {"training.epochs": "1"}, name="a", runs=tmp_path, **more)
        run.code = sweep.run_each(request, EACH, False, as_json)  # type: ignore[attr-defined]
        return requests

    return run


def test_every_combination_is_trained_under_a_name_that_tells_it(
    asked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = asked({})
    assert [request.name for request in requests] == NAMES and asked.code == 0
    assert requests[1].overrides == {"training.epochs": "1", "training.seed": "1", "training.dropout": "0.5"}
    listed = json.loads((tmp_path / "a/array.json").read_text())["runs"]
    assert [Path(path).name for path in listed] == NAMES
    with pytest.raises(BackendError, match="there is an array 'a' already"):
        asked({})


def test_one_that_breaks_ends_no_other_and_gives_its_code(asked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(asked({NAMES[1]: 5, NAMES[3]: 4}, as_json=True)) == 4 and asked.code == 5
    told = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in told["runs"]] == NAMES


def test_a_stop_ends_all_and_resume_leaves_out_what_has_finished(
    asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(asked({NAMES[1]: 75})) == 2 and asked.code == 75
    assert "go on with the same line and --resume --name a" in capsys.readouterr().err
    again = asked({}, resume=True)
    assert [(request.name, request.resume) for request in again] == [
        (NAMES[1], True),
        (NAMES[2], False),
        (NAMES[3], False),
    ]


def test_what_is_wrong_with_any_is_told_before_the_first(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def gates(request: Request) -> None:
        if request.overrides["training.dropout"] == "0.5":
            raise RecipeError(Problem("no such dropout"))

    monkeypatch.setattr(sweep, "run_recipe", None)
    monkeypatch.setattr(run_request, "gates", gates)
    with pytest.raises(RecipeError) as refused:
        sweep.run_each(Request(Path("x.py"), {}, name="b", runs=Path("none")), EACH, False, False)
    (problem,) = refused.value.problems
    assert problem.where == "run b-seed-1-dropout-0.5, b-seed-2-dropout-0.5"
    with pytest.raises(LauncherError, match="--detach and --each exclude each other"):
        sweep.refuse_to_sweep({"--machines": False, "--detach": True})
