"""The data's figures in TensorBoard, without a run: the report's thread draws what `prepare` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher import Full, MeanPooling, RandomVectors, Recipe, Table, TextClassification
from launcher import Training as Settings
from launcher.rundir import RunFolder
from launcher.training import report as reporting
from launcher.training.prepare import prepare
from launcher.training.report import Report


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What TensorBoard finds of a report that describes the data and logs one step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    rows = [f"{'好' * (n % 9 + 1)},{'好评' if n % 2 else '差评'}" for n in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    recipe = Recipe(
        task=TextClassification(),
        data=Table(train=str(tmp_path / "t.csv")),
        embedding=RandomVectors(dimension=4, tokens="characters", encoder=MeanPooling(hidden=4)),
        peft=Full(),
        training=Settings(learning_rate=0.1),
    )
    run = RunFolder(tmp_path / "run")
    attempt = run.new_attempt()
    made = Report(run, attempt.number, 0, 1, "")
    made.describe(Path(prepare(recipe)["folder"]))
    made.logged(1, {"loss": 1.0, "learning_rate": 0.1, "examples_per_second": 5.0})
    made.close()
    found = EventAccumulator(str(run.tensorboard))
    found.Reload()
    return {**found.Tags(), "sizes": [(i.width, i.height) for tag in found.Tags()["images"] for i in found.Images(tag)]}


def test_labels_and_lengths_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(tmp_path, monkeypatch)
    assert found["images"] == ["data/labels", "data/lengths"]
    assert all(width > 500 and height > 100 for width, height in found["sizes"])
    assert "train/loss" in found["scalars"]


def test_a_figure_that_breaks_costs_no_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporting, "labels_figure", lambda counts: 1 / 0)
    found = told(tmp_path, monkeypatch)
    assert found["images"] == ["data/lengths"]
    assert "train/loss" in found["scalars"]
    assert "the figure data/labels was not drawn: ZeroDivisionError" in capsys.readouterr().out
