"""What `launcher status` and `cancel` print of a run's files steers no terminal, and reads as a sentence."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from made_runs import made

from launcher.cli import control, runs
from launcher.errors import BackendError
from launcher.plan import plan as planning

ESCAPE = "\x1b[31m"


PLAN = SimpleNamespace(steps=100, batch_size=16, strategy=f"ddp{ESCAPE}", world_size=2, hang_seconds=30.0)
"""What `status` asks of a plan."""


def test_status_escapes_whatever_a_file_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "from_document", lambda document: PLAN)
    problem = {name: f"{name}{ESCAPE}\n\u202e" for name in ("what", "where", "do")}
    metrics = {"validation": {"accuracy": 0.5, f"m{ESCAPE}": 0.25}, "test": {f"m{ESCAPE}": 0.25}}
    outcome = {
        "status": f"failed{ESCAPE}",
        "steps": 7,
        "metrics": metrics,
        "selected_step": 4,
        "problems": [problem],
        "warnings": [f"odd{ESCAPE}"],
    }
    folder = made(tmp_path, "评论", 1, {"training.select_by": "accuracy"}, outcome)
    runs.show_status("评论", tmp_path, as_json=False)
    told = capsys.readouterr().out
    assert all(line.isprintable() for line in told.splitlines()), told
    assert r"failed\x1b[31m" in told and told.count(r"m\x1b[31m") >= 2 and "评论" in told
    assert "chosen: step 4 of 100, the best by validation accuracy:" in told
    assert folder.name in told


@pytest.mark.parametrize(
    ("status", "how"),
    [(None, "was killed"), ("finished", "has finished"), ("stopped", "was stopped"), ("failed", "has failed")],
)
def test_a_run_that_is_over_is_told_in_a_sentence(status: str | None, how: str, tmp_path: Path) -> None:
    made(tmp_path, "评论", 1, {}, None if status is None else {"status": status, "steps": 1})
    with pytest.raises(BackendError, match=f"run 评论 {how}: there is nothing to cancel"):
        control.cancel_run("评论", tmp_path, as_json=False)
