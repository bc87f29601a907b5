"""How `launcher predict` shows answers: those of any task, beside the row they belong to."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from launcher import LauncherError
from launcher.cli import predict
from launcher.cli.predict import Question, show_predictions
from launcher.errors import BackendError
from launcher.model import model_folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """What passes for a model folder, as long as nobody opens it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "launcher.json").write_text("{}")
    return tmp_path / "model"


def answered(monkeypatch: pytest.MonkeyPatch, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The requests that a child would get; its answer is `told`."""
    requests: list[dict[str, Any]] = []

    def heavy(verb: str, request: dict[str, Any]) -> Any:
        requests.append(request)
        return told

    monkeypatch.setattr(predict, "heavy", heavy)
    return requests


def test_an_answer_is_printed_as_its_task_says(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    answered(monkeypatch, [{"row": {"text": "good"}, "answer": {"label": "pos"}, "printed": "pos\t0.7500\tgood"}])
    show_predictions(str(model), Path("runs"), Question(["good"], top=2), None, False)
    assert capsys.readouterr().out == "pos\t0.7500\tgood\n"


def test_columns_go_along_and_none_is_overwritten(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    answer = {"label": "neg", "probability": 0.5, "probabilities": {"neg": 0.5}}
    row = {"id": "7", "review": "好, 很", "label": "pos"}
    requests = answered(monkeypatch, [{"row": row, "answer": answer, "printed": ""}])
    asked = Question(file="a.csv", text="review", top=1)
    show_predictions(str(model), Path("runs"), asked, model / "out.jsonl", False)
    show_predictions(str(model), Path("runs"), asked, model / "out.csv", False)
    lines = (model / "out.jsonl").read_text(encoding="utf-8").splitlines()
    told = {**row, "predicted_label": "neg", "probability": 0.5, "probabilities": {"neg": 0.5}}
    assert [json.loads(line) for line in lines] == [told]
    assert list(csv.DictReader(io.StringIO((model / "out.csv").read_text(encoding="utf-8")))) == [
        {**row, "predicted_label": "neg", "probability": "0.5", "probabilities": '{"neg": 0.5}'}
    ]
    assert "'label' in 'predicted_label'" in capsys.readouterr().err
    assert requests[0] == {
        "model": str(model), "texts": [], "top": 1, "text": "review", "text_pair": None, "file": "a.csv",
        "name": "", "printed": False, "set": {}, "pairs": False,
    }  # fmt: skip


def test_of_texts_that_were_typed_no_column_is_told(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    answer = {"text": "很好", "truncated": True}
    answered(monkeypatch, [{"row": {"text": "你好"}, "answer": answer, "cut_off": "beginning"}])
    show_predictions(str(model), Path("runs"), Question(["你好"]), None, True)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == [{"text": "你好", "predicted_text": "很好", "truncated": True}]
    assert shown.err == "1 text is longer than the model takes: the beginning was not looked at\n"


@pytest.mark.parametrize("asked", [Question(), Question(["a"], "f"), Question(["a"], text="b")])
def test_half_a_question_is_refused(asked: Question, model: Path) -> None:
    with pytest.raises(LauncherError):
        show_predictions(str(model), Path("runs"), asked, None, False)


def test_a_model_folder_answers_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    assert model_folder(str(model), "runs") == model
    assert model_folder("model", tmp_path) == model
    with pytest.raises(BackendError, match="there is no run"):
        model_folder(tmp_path / "other", tmp_path)
    with pytest.raises(BackendError, match="there is no run"):
        model_folder("x" * 5000, tmp_path)
