"""Figures of a result show the numbers they were given; labels of thirty classes can be read."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from drawn import apart, drawn, tick_labels

from launcher.json_files import write_json
from launcher.json_lines import append_line
from launcher.runs.run_folder import RunFolder
from launcher.training.report import fonts
from launcher.training.report.result_figures import (
    OTHERS,
    bars_figure,
    classes_figure,
    confusion_figure,
    curves_figure,
    precision_recall_figure,
)
from launcher.training.report.run_curves import curves_of
from launcher.training.tasks.views import NOTHING, Bar, Bars, Confusion, of_entities, of_targets

HOSTILE = ["好评", "$x_{$", "[red]", "a\x1b[31m", "very good", "x" * 40, "😀", "\ue000"]
THIRTY = [f"新闻类别{n}号" if n % 2 else f"category {n} of topics" for n in range(30)]


def classes_of(names):
    rows = [{"precision": n / len(names), "recall": 0.5, "f1": 0.25, "support": n} for n in range(len(names))]
    return dict(zip(names, rows, strict=True))


def ranked(names):
    """For each class four targets, told rightly but for the last class."""
    gold = np.array([True, True, False, False])
    right, wrong = np.array([0.9, 0.8, 0.2, 0.1]), np.array([0.1, 0.2, 0.8, 0.9])
    return {name: (gold, wrong if name == names[-1] else right) for name in names}


def test_confusion_of_targets_by_hand():
    told = of_targets("texts", np.array([0, 0, 0, 1, 2]), np.array([0, 0, 2, 1, 0]), ["a", "b", "c"])
    assert told.counts.tolist() == [[2, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_confusion_of_entities_by_hand():
    gold = [["B-人", "I-人", "O", "B-地"], ["B-地", "O", "O"], ["B-人"]]
    told = [["B-人", "I-人", "O", "B-人"], ["O", "O", "B-地"], ["B-人"]]
    found = of_entities(gold, told)
    assert found.names == ["人", "地", NOTHING]
    assert found.counts.tolist() == [[2, 0, 0], [1, 0, 1], [0, 1, 0]]
    half = of_entities([["B-人", "I-人"]], [["B-人", "O"]])
    assert half.counts.tolist() == [[0, 1], [1, 0]], "half an entity is another one"


def test_every_count_stands_in_its_cell():
    counts = np.array([[7, 1], [0, 123456]])
    axes = confusion_figure(Confusion("texts", ["差", "好"], counts)).axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "7", (1, 0): "1", (1, 1): "123456"}
    assert axes.images[0].get_array().tolist() == [[7 / 8, 1 / 8], [0, 1]]


@pytest.mark.parametrize("count", [2, 5, 6, 30, 60])
def test_the_labels_of_a_matrix_stay_readable(count, chinese_font):
    names = (THIRTY * 2)[:count]
    figure = confusion_figure(Confusion("texts", names, np.full((count, count), 99)))
    for axis in "xy":
        labels = tick_labels(figure, axis)
        assert [label.get_text() for label in labels] == names
        assert apart(labels, axis)
    cells = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(cells) == (count * count if count <= 40 else 0)
    width = figure.axes[0].get_window_extent().width / count
    assert all(box.width < width for box in cells)


def test_the_rarest_of_many_classes_are_counted_together():
    counts = np.diag(np.arange(1, 201))
    counts[0, 199] = 5
    axes = confusion_figure(Confusion("texts", [f"c{n}" for n in range(200)], counts)).axes[0]
    shares = axes.images[0].get_array()
    assert shares.shape == (60, 60)
    assert [label.get_text() for label in axes.get_yticklabels()][-2:] == ["c199", OTHERS]
    assert shares[-1, -1] == pytest.approx(np.arange(1, 142).sum() / (np.arange(1, 142).sum() + 5))
    assert shares[-1, -2] == pytest.approx(5 / (np.arange(1, 142).sum() + 5))


@pytest.mark.parametrize("count", [1, 30, 61])
def test_bars_of_classes_are_their_numbers(count):
    names = [f"{THIRTY[n % 30]} {n}" for n in range(count)]
    figure = classes_figure(classes_of(names))
    labels = tick_labels(figure)
    assert len(labels) == min(count, 60) and apart(labels)
    widths = sorted({round(bar.get_width(), 4) for bar in figure.axes[0].patches})
    shown = range(count) if count <= 60 else range(1, count)
    assert widths == sorted({0.5, 0.25, *(round(n / count, 4) for n in shown)})
    assert labels[-1].get_text().endswith(f"({count - 1:,})" if count <= 60 else "(1)")


def test_curves_of_precision_and_recall_name_the_worst(chinese_font):
    axes = precision_recall_figure("texts", ranked(THIRTY)).axes[0]
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert len(axes.lines) == 30 and len(named) == 6
    assert named[-1].get_label() == f"{THIRTY[-1]}  0.417", "two wrong ones come first: (1/3 + 2/4) / 2"
    assert named[0].get_label().endswith("  1.000")
    assert axes.get_title("left") == "texts: each class against the rest (in grey: 24 better)"
    absent = {"a": (np.array([False, False]), np.array([0.1, 0.2])), **ranked(["b", "c"])}
    assert len(precision_recall_figure("texts", absent).axes[0].lines) == 2, (
        "of a class that is not there nothing can be said"
    )


def test_a_rare_class_keeps_its_curve_among_very_many_targets():
    gold = np.zeros(100_000, dtype=bool)
    gold[:20] = True
    scores = np.linspace(1, 0, 100_000)  # the rare ones come first
    (line,) = precision_recall_figure("tokens", {"rare": (gold, scores)}).axes[0].lines
    recall, precision = line.get_xdata(), line.get_ydata()
    assert set(np.round(recall * 20)) == set(range(21)), "every step of the curve is drawn"
    assert precision[recall < 1].min() == 1 and len(recall) < 600


def test_a_comparison_draws_a_curve_a_run():
    run = {"steps": [1, 2], "loss": [3.0, 2.0], "evaluated": [2], "metric": [0.5]}
    figure = curves_figure({"a": run, "b": {**run, "evaluated": [], "metric": []}}, "accuracy")
    loss, metric = figure.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3.0, 2.0]] * 2
    assert [line.get_ydata().tolist() for line in metric.lines] == [[0.5], []]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert metric.get_title("left") == "validation accuracy"
    assert (loss.get_xlabel(), metric.get_xlabel()) == ("step", "step")
    empty = curves_figure({"a": {**run, "evaluated": [], "metric": []}}, "accuracy").axes
    assert [axes.get_xlabel() for axes in empty] == ["step", "nothing is logged yet"]
    many = curves_figure({f"run{n}": run for n in range(20)}, "accuracy").axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in many}) == 20


@pytest.mark.parametrize("installed", [True, False])
def test_no_glyph_is_missing_whatever_fonts_there_are(monkeypatch, installed):
    if not installed:
        monkeypatch.setattr(fonts, "_installed", lambda: ())
    run = {"steps": [1], "loss": [3.0], "evaluated": [1], "metric": [0.5]}
    made = [
        confusion_figure(Confusion("texts", HOSTILE, np.ones((8, 8), dtype=int))),
        classes_figure(classes_of(HOSTILE)),
        precision_recall_figure("texts", ranked(HOSTILE[:4])),
        precision_recall_figure("texts", ranked(HOSTILE[4:])),
        curves_figure(dict.fromkeys(HOSTILE, run), "好"),
    ]
    assert all(drawn(figure).std() > 5 for figure in made)


def run_with(folder, name, losses, accuracies):
    """A run whose only attempt logged these."""
    run = RunFolder(folder / name)
    attempt = run.new_attempt()
    write_json(attempt.origin, {"continues": None})
    write_json(run.plan, {"steps": 4, "strategy": "ddp", "world_size": 2, "recipe": "/x.py"})
    write_json(run.recipe, {"values": {"training.select_by": {"value": "accuracy"}}})
    for step, loss in losses.items():
        append_line(run.events, {"step": step, "loss": loss, "attempt": 1})
    for step, accuracy in accuracies.items():
        append_line(run.evaluations, {"step": step, "accuracy": accuracy, "attempt": 1})
    return run


def test_compare_draws_what_counts_of_each_run(tmp_path):
    runs = tmp_path / "runs"
    again = run_with(runs, "again", {1: 3.0, 2: 2.0, 3: 9.0}, {2: 0.4})
    attempt = again.new_attempt()
    write_json(attempt.origin, {"continues": {"attempt": 1, "step": 2}})
    append_line(again.events, {"step": 3, "loss": 1.0, "attempt": 2})
    open_run = run_with(runs, "open", {}, {})
    told = curves_of(again, "accuracy")
    assert told == {"steps": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "evaluated": [2], "metric": [0.4]}
    assert set(map(len, curves_of(open_run, "accuracy").values())) == {0}
    long = run_with(runs, "long", dict.fromkeys(range(4500), 1.0), {})
    assert curves_of(long, "accuracy")["steps"][:3] == [0, 2, 4]
    words = [sys.executable, "-m", "launcher", "compare", "--runs", runs, "--png", tmp_path / "png", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["figures"] == [str(tmp_path / "png/curves.png")]
    assert (tmp_path / "png/curves.png").read_bytes().startswith(b"\x89PNG")


def test_bars_stand_in_their_order_with_how_many_they_are_the_mean_of():
    figure = bars_figure(Bars("f1", "F1 by 长度", [Bar("1 or 2", 0.25, 1234), Bar("3 or more", 1.0, 7)]))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.25, 1.0] and axes.get_xlim() == (0, 1)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1 or 2 (1,234)", "3 or more (7)"]
    assert axes.yaxis_inverted()
