"""A metric without a value (NaN, infinite, left out) never wins, never stops a run and breaks no screen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from at_work import predicted, ragged, split_of, work_of

import launcher
from launcher import MultiLabelClassification, TextClassification, TokenClassification, Training
from launcher.cli import compare
from launcher.cli.result import print_outcome
from launcher.cli.runs import show_status
from launcher.cli.show import show_recipe
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.runs.run_folder import RunFolder
from launcher.training.loop import Loop, LoopState
from launcher.training.report.gallery import ResultGallery
from launcher.training.report.run_curves import curves_of, draw_curves

NAN, INF = math.nan, math.inf


class Observer:
    """Answers each evaluation with the next value; a metric is left out where that is a text."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def evaluate(self, step: int, write: bool) -> dict[str, Any]:
        value = self.values[step - 1]
        return {"loss": 0.5} if value == "left out" else {"spearman": value, "loss": 0.5}

    def save(self, state: LoopState) -> None:
        pass

    def kept(self, step: int) -> bool:
        return True


def evaluated(values: list[Any], better: str, patience: int | None = None) -> LoopState:
    """The state of a loop after these evaluations, or where it ended early."""
    training = Training(evaluate_every=1, checkpoint_every=1, select_by="spearman", patience=patience)
    plan: Any = SimpleNamespace(steps=99, steps_per_epoch=99)
    none: Any = None
    loop = Loop(plan, training, none, none, none, none, none, none, Observer(values), better, none, none)  # type: ignore[arg-type]
    for step in range(1, len(values) + 1):
        loop.state.step = step
        loop._between_steps(stop=False)
        if loop.state.finished_early:
            break
    return loop.state


@pytest.mark.parametrize(
    ("values", "better", "best"),
    [
        ([NAN, 0.3, 0.9], "max", 3),
        ([NAN, 0.9, 0.3], "max", 2),
        ([NAN, 0.9, 0.3], "min", 3),
        ([0.3, NAN, 0.2], "max", 1),
        ([INF, 0.3, 0.4], "max", 3),
        ([-INF, 0.3, 0.4], "min", 2),
        ([None, 0.3, INF], "max", 2),
        (["left out", 0.3, "left out"], "max", 2),
        ([NAN, None, "left out"], "max", 3),
    ],
)
def test_a_value_that_is_not_finite_is_no_value(values: list[Any], better: str, best: int) -> None:
    state = evaluated(values, better)
    assert (state.best_step, state.evaluated_step) == (best, 3)


@pytest.mark.parametrize(
    ("values", "ends_at"),
    [
        ([NAN, NAN, NAN, 0.1, 0.2], 5),  # nothing was worse than anything
        ([0.5, NAN, NAN, NAN, 0.6], 5),
        ([0.5, 0.4, NAN, 0.3, 0.9], 4),  # two that were worse, as patience says
        ([NAN, 0.5, 0.4, 0.3, 0.9], 4),
    ],
)
def test_what_has_no_value_uses_up_no_patience(values: list[Any], ends_at: int) -> None:
    assert evaluated(values, "max", patience=2).step == ends_at


def test_a_checkpoint_that_took_nan_for_the_best_is_mended_by_the_next_evaluation() -> None:
    training = Training(evaluate_every=1, checkpoint_every=1, select_by="spearman", patience=None)
    none: Any = None
    state = LoopState(step=7, evaluated_step=6, best_step=1, best_metrics={"spearman": NAN})
    plan: Any = SimpleNamespace(steps=99, steps_per_epoch=99)
    loop = Loop(plan, training, none, none, none, none, none, none, Observer([0.1] * 9), "max", none, none, state)  # type: ignore[arg-type]
    loop._between_steps(stop=False)
    assert state.best_step == 7


def run_with(warm: Any, values: list[float], name: str) -> RunFolder:
    """A run of three evaluations (steps 2, 4, 6) that are told these values, one after the other."""
    task = f"CustomTask(file='undefined.py', options={{'values': {values}}}, metrics={{'spearman': 'max'}})"
    plain = warm.recipe("mean", "Full", max_steps=6, evaluate_every=2)
    path = plain.with_name(f"{name}.py")
    path.write_text(plain.read_text().replace("TextClassification()", task))
    ended = warm.carry_out(Request(path, {}, Placement(1, "single"), name, warm.folder / "undefined"))
    assert set(ended.status.values()) == {0}, ended.failures()
    return ended.folder


def told_by(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_such_a_run_ends_and_every_screen_shows_it(
    warm: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = run_with(warm, [0.1, 0.2], "sometimes")  # the third evaluation, the test and the one before have none
    outcome = json.loads(run.outcome.read_text(), parse_constant=pytest.fail)
    assert (outcome["selected_step"], outcome["steps"]) == (4, 6)
    assert outcome["metrics"]["validation"]["spearman"] == pytest.approx(0.2)
    assert outcome["metrics"]["test"]["spearman"] is outcome["metrics"]["before"]["spearman"] is None
    assert outcome["metrics"]["test"]["infinite"] is outcome["metrics"]["test"]["missing"] is None
    lines = run.evaluations.read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail)["spearman"] for line in lines] == [
        *(pytest.approx(0.1), pytest.approx(0.2)),
        None,
    ]
    print_outcome(run, outcome)
    told = told_by(capsys)
    assert "chosen: step 4 of 6, the best by validation spearman:" in told and "spearman 0.2000" in told
    assert "│ spearman │ - │ - │" in told
    show_status(str(run.path), Path("runs"), as_json=False)
    told = told_by(capsys)
    assert "chosen: step 4 of 6" in told and "newest validation, at step 6: " in told and "spearman undefined" in told
    show_recipe(run.path, {}, Path("runs"), as_json=False)
    told = told_by(capsys)
    assert "task.options recipe {'values': [0.1, 0.2]}" in told and "chosen: step 4 of 6" in told
    show_recipe(run.path, {}, Path("runs"), as_json=True)
    assert json.loads(capsys.readouterr().out)["chosen"]["step"] == 4
    compare.show_list(run.path.parent, as_json=False)
    assert "sometimes finished 6/6 4 spearman 0.2000" in told_by(capsys)
    compare.show_comparison([str(run.path)], Path("runs"), as_json=True)
    capsys.readouterr()
    again = launcher.evaluate(str(run.path))
    assert again["spearman"] == pytest.approx(0.1) and again["missing"] is None  # a fresh task begins its values anew
    assert curves_of(run, "spearman")["evaluated"] == [2, 4]
    assert draw_curves([str(run.path)], "missing", str(tmp_path))["figures"] == [str(tmp_path / "curves.png")]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.tensorboard))
    found.Reload()
    assert [point.step for point in found.Scalars("validation/spearman")] == [2, 4]
    notes = run.attempt(1).notes
    assert not notes.is_file() or "not drawn" not in notes.read_text()


def test_a_run_whose_metric_never_had_a_value_says_so_and_keeps_its_last_weights(
    warm: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_with(warm, [], "never")
    outcome = json.loads(run.outcome.read_text())
    assert outcome["selected_step"] == 6 and outcome["metrics"]["validation"]["spearman"] is None
    told = "no evaluation had a finite spearman: the weights of the last step, 6, are kept"
    assert outcome["warnings"][0] == told
    print_outcome(run, outcome)
    assert f"warning: {told}" in told_by(capsys)
    show_status(str(run.path), Path("runs"), as_json=False)
    assert f"warning: {told}" in told_by(capsys)


@pytest.mark.parametrize(
    ("task", "labels", "gold", "told", "answer"),
    [
        (TextClassification(), ["bad", "good"], [0, 1, 1], [1, 1, 1], "'good'"),
        (TokenClassification(), ["O", "B-PER"], [[0, 1], [-100, 0]], [[0, 0], [0]], "'O'"),
        (MultiLabelClassification(), ["a", "b"], [[0, 1], [1, 0]], [[0, 0], [0, 0]], "no"),
        (TextClassification(), ["bad", "good"], [0, 1, 1], [1, 0, 1], None),
        (TextClassification(), ["bad", "good"], [1, 1, 1], [1, 1, 1], None),
    ],
)
def test_one_answer_to_everything_is_doubtful(
    task: Any, labels: list[str], gold: list[Any], told: list[Any], answer: str | None
) -> None:
    by_token = isinstance(task, TokenClassification)
    split = split_of([[5, 6]] * len(gold), labels=gold if by_token else np.array(gold))
    kept = predicted(ragged(told) if by_token else np.array(told))
    gallery = ResultGallery(None, work_of(task, labels), split, kept)  # type: ignore[arg-type]
    doubts = gallery.doubts({"accuracy": 0.5}, "accuracy", 9)
    assert [doubt.partition(":")[0] for doubt in doubts] == (
        [f"every answer on the test split is {answer}"] if answer else []
    )
