"""How `launcher predict` shows answers: each task says its own; no control character gets through."""

from __future__ import annotations

from typing import Any

import pytest
from at_work import work_of

from launcher import MultiLabelClassification, TextClassification, TokenClassification

HOSTILE = "a\x1b[31mred\nb"
ENTITY = {"entity": HOSTILE, "text": HOSTILE, "start": 0, "end": 2, "probability": 0.5}
ONE, SEVERAL, TAGS = TextClassification(), MultiLabelClassification(), TokenClassification()


@pytest.mark.parametrize(
    ("task", "answer", "top", "line"),
    [
        (ONE, {"label": "pos", "probability": 0.75}, None, "pos\t0.7500\tgood"),
        (ONE, {"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}, 2, "a 0.7500  b 0.2500\tgood"),
        (SEVERAL, {"labels": ["a"], "probabilities": {"a": 0.9, "b": 0.1}}, None, "a 0.9000\tgood"),
        (SEVERAL, {"labels": [], "probabilities": {"a": 0.1}}, None, "-\tgood"),
        (TAGS, {"entities": []}, None, "good\n  no entities"),
        (TAGS, {"entities": [{**ENTITY, "entity": "P", "text": "go"}]}, None, "good\n  P[0:2] go (0.50)"),
        # what a task of the user's own says that is like one of these
        (ONE, {"score": 4.5, "why": {"文": [1]}}, None, 'good\n  {"score": 4.5, "why": {"文": [1]}}'),
        (ONE, {"label": 3}, None, 'good\n  {"label": 3}'),
        (SEVERAL, {"labels": ["a", "b"]}, None, 'good\n  {"labels": ["a", "b"]}'),
        (TAGS, {}, None, "good\n  {}"),
    ],
)
def test_an_answer_is_printed_beside_or_below_its_text(task: Any, answer: Any, top: int | None, line: str) -> None:
    assert work_of(task).printed("good", answer, top) == line


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (ONE, {"label": HOSTILE, "probability": 0.5}),
        (ONE, {HOSTILE: HOSTILE}),
        (SEVERAL, {"labels": [HOSTILE], "probabilities": {HOSTILE: 0.5}}),
        (TAGS, {"entities": [ENTITY]}),
    ],
)
def test_answers_are_quiet(task: Any, answer: Any) -> None:
    printed = work_of(task).printed("good", answer, None)
    assert "\x1b" not in printed and "x1b[31mred" in printed.replace("u001b", "x1b")
    assert printed.count("\n") == (0 if printed.endswith("\tgood") else 1)
