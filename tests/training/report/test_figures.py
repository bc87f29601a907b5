"""Figures are drawn without a missing glyph, with labels that can be read, from the numbers they were given."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from drawn import drawn, tick_labels

from launcher.errors import DataError
from launcher.training.report import fonts
from launcher.training.report.figures import examples_figure, labels_figure, lengths_figure, save, short
from launcher.training.report.fonts import fonts_for

HOSTILE = ["好评", "$x_{$", "[red]", "a\x1b[31m", "very good", "x" * 40, "😀", "\ue000"]


def token(text, label=None, unknown=False, special=False):
    return {"token": "[UNK]" if unknown else text, "text": text, "label": label, "unknown": unknown, "special": special}


SENTENCE = "这本书龘的$作者\x1b" * 12
EXAMPLE = {
    "where": "a.conll line 3",
    "label": None,
    "tokens": [
        token(c, "B-人名" if n == 3 else "O", unknown=c == "龘") for n, c in enumerate("这本书龘的$作者\x1b" * 12)
    ],
    "cut": {"tokens": 3, "text": "后面的字"},
    "swallowed": ["\u200b"],
}


@pytest.mark.parametrize("installed", [True, False])
def test_no_glyph_is_missing_whatever_fonts_there_are(monkeypatch, installed):
    if not installed:
        monkeypatch.setattr(fonts, "_installed", lambda: ())
    counts = {name: {label: n + 1 for n, label in enumerate(HOSTILE)} for name in ("train", "test")}
    assert drawn(labels_figure(counts)).shape[2] == 3
    assert drawn(examples_figure([EXAMPLE, {**EXAMPLE, "label": "好评"}])).std() > 5
    with pytest.raises(UserWarning, match="missing from"):
        drawn(plain_figure("\ue000"))


def plain_figure(text):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0.5, 0.5, text)
    return figure


def test_characters_that_no_font_has_are_written_out(monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: ())
    found = fonts_for(["好评", "good"])
    assert found.families == ("DejaVu Sans",)
    assert found.text("好 good\n\x1b") == "[U+597D] good\\n\\x1b"
    assert "2 of the characters (好评)" in found.note() and "fonts-noto-cjk" in found.note()
    assert fonts_for(["good"]).note() == ""
    assert [label.get_text() for label in tick_labels(labels_figure({"train": {"好": 1}}))] == ["[U+597D]"]


def test_an_installed_chinese_font_is_used(chinese_font):
    found = fonts_for(["好评 good 房间"])
    assert len(found.families) == 2 and found.text("好评") == "好评" and found.note() == ""


@pytest.mark.parametrize("count", [2, 30, 60, 61, 500])
def test_labels_stay_readable(count):
    counts = {name: {f"label {n}": n for n in range(count)} for name in ("train", "validation", "test")}
    figure = labels_figure(counts)
    labels = tick_labels(figure)
    assert len(labels) == min(count, 60)
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0 and boxes[0].y0 >= 0
    if count == 500:
        assert labels[0].get_text() == "label 499" and "440 rarer ones left out" in figure.axes[0].get_title("left")


def test_long_labels_leave_room_for_the_bars(chinese_font):
    figure = labels_figure({"train": {"好" * 500: 1, "b": 3}})
    assert tick_labels(figure)[0].get_text() == "好" * 14 + "…"
    assert figure.axes[0].get_window_extent().width > 0.3 * figure.bbox.width


def test_labels_are_cut_by_the_room_they_take():
    whole = ["a" * 30, "好" * 15, ""]
    assert [short(label) for label in whole] == whole
    assert short("a" * 31) == "a" * 29 + "…" and short("好" * 16) == "好" * 14 + "…"


def test_bars_are_the_shares():
    axes = labels_figure({"train": {"a": 3, "b": 1}, "test": {"a": 0, "b": 0}}).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [75.0, 25.0, 0.0, 0.0]


def test_lengths_sum_to_a_whole_and_the_cut_is_marked():
    figure = lengths_figure({"train": np.array([1, 2, 2, 90, 100]), "test": np.array([], dtype=int)}, 100)
    stairs = figure.axes[0].patches[0].get_data()
    assert stairs.values.sum() == pytest.approx(100)
    assert stairs.edges[0] == -0.5 and stairs.edges[-1] > 100
    assert [line.get_label() for line in figure.axes[0].lines] == ["cut at 100"]
    assert not lengths_figure({"train": np.array([5])}, 100).axes[0].lines


def test_every_token_has_its_box(chinese_font):
    figure = examples_figure([EXAMPLE])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[0] == "a.conll line 3   cut: 3 tokens, 后面的字…   without a token: 1"
    assert texts[1::2][:4] == ["这", "本", "书", "[UNK] 龘"] and texts[8] == "B-人名"
    assert len(texts) == 1 + 2 * len(EXAMPLE["tokens"])
    right = max(patch.get_x() + patch.get_width() for patch in figure.axes[0].patches)
    assert right < figure.axes[0].get_xlim()[1]


def test_a_figure_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    figure = lengths_figure({"train": np.array([5])}, 9)
    with pytest.raises(DataError, match="the figure cannot be written"):
        save(figure, tmp_path / "file" / "x.png")
    save(figure, tmp_path / "new" / "x.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.png"]
    assert logging.getLogger("matplotlib.font_manager").level == logging.ERROR
