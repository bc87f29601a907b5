"""What a rank tells of the section it is in: a test is known to take as long as an evaluation did."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import pulse
from launcher.rundir import RunFolder
from launcher.training.report import Report


def test_a_test_is_judged_by_how_slow_evaluations_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(pulse, "begin", lambda *_: None)
    monkeypatch.setattr(pulse, "section", lambda *words: told.append(words))
    run = RunFolder(tmp_path)
    run.new_attempt()
    report = Report(run, 1, 1, 20, "")
    for name in ("evaluating", "testing", "saving"):
        report.section(name, 7)
    assert told[-3:] == [("evaluating", 7, 20, ""), ("testing", 7, 20, "evaluating"), ("saving", 7, 20, "")]
