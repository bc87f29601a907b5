"""What an evaluation keeps for figures, and what is made of it, against values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from at_work import predicted, split_of, work_of
from torch import nn

from launcher import MultiLabelClassification, TextClassification, TokenClassification
from launcher.errors import WorkerError
from launcher.json_files import write_json
from launcher.training import evaluation
from launcher.training.batches.order import evaluation_batches
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.evaluation import evaluate
from launcher.training.model_parts.summary import model_summary
from launcher.training.report import fonts
from launcher.training.report import gallery as galleries
from launcher.training.report.gallery import ResultGallery
from launcher.training.report.token_points import token_points
from launcher.training.tasks import text_classification
from launcher.training.tasks.base import Kept, Reader
from launcher.training.tasks.collate import Batches
from launcher.training.tasks.keeping import Keeping
from launcher.training.tasks.views import AgainstTheRest

ALONE = World(0, 0, 1, torch.device("cpu"))
LABELS = ["差评", "中评", "好评"]


class Said:
    """Stands for a board: keeps what is handed over and what is said."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        self.told: list[str] = []
        self.say = self.told.append

    def figure(self, name: str, draw: Any, step: int = 0) -> None:
        self.shown[name] = draw

    figures = points = text = figure


class Tokenizer:
    """Token n is called `tn`; 0 is special."""

    all_special_ids = (0,)
    pad_token_id = 0

    @staticmethod
    def convert_ids_to_tokens(numbers: list[int]) -> list[str]:
        return [f"t{number}" for number in numbers]


IDS = [[1, 2], [1, 3], [1, 4]]


def gallery(task: Any, of: Split, kept: Kept) -> ResultGallery:
    return ResultGallery(Said(), work_of(task, LABELS), of, kept)  # type: ignore[arg-type]


def evaluated(task: Any, of: Split, logits: torch.Tensor) -> Kept:
    """What an evaluation keeps that sees the rows two by two; the model gives these logits, a row each."""
    work = work_of(task, LABELS, Tokenizer)
    batches = Batches(work, ALONE.device)
    rows = iter([part.rows for part in evaluation_batches(of.cost, 2, 0, 1)])
    return evaluate(lambda _: {"logits": logits[next(rows)]}, batches, of, ALONE, 2, details=True).kept


def test_where_no_font_has_the_labels_it_is_said_how_to_install_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {"train": {"labels": {"差评": 1, "good": 2}}}
    for labels, wanted in ((["good", "差评"], 1), (["good"], 0)):
        write_json(
            tmp_path / "facts.json", {"labels": labels, "report": {"answer": "label", "splits": splits}, "rows": {}}
        )
        board = Said()
        with monkeypatch.context() as patch:
            patch.setattr(fonts, "_installed", lambda: ())
            galleries.show_data(board, tmp_path, work_of(TextClassification(), labels))  # type: ignore[arg-type]
            board.shown["data/labels"]()
        assert len(board.told) == wanted and all("apt-get install fonts-noto-cjk" in told for told in board.told)


def test_the_probabilities_of_each_class_meet_its_targets() -> None:
    of, logits = split_of(IDS, labels=np.array([2, 0, 2])), torch.tensor([[0.0, 0, 9], [9, 0, 0], [9, 0, 0]])
    made = gallery(TextClassification(), of, evaluated(TextClassification(), of, logits))
    _, curves = made.work.views(of, made.kept)
    assert isinstance(curves, AgainstTheRest) and curves.of == "texts"
    told = curves.classes
    assert [told[label][0].tolist() for label in LABELS] == [[False, True, False], [False] * 3, [True, False, True]]
    assert told["好评"][1] == pytest.approx([1, 0, 0], abs=1e-3)
    (name, figure), (other, _) = made._views()
    assert (name, other) == ("test/confusion-texts", "test/precision-recall")
    assert {text.get_position(): text.get_text() for text in figure.axes[0].texts} == {
        **{(0, 0): "1", (0, 2): "1", (2, 2): "1"}
    }


def test_of_several_labels_each_decision_meets_its_probability() -> None:
    wanted = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    of, task = split_of(IDS, targets=3, labels=wanted), MultiLabelClassification()
    kept = evaluated(task, of, torch.from_numpy(wanted * 18.0 - 9.0))
    (curves,) = work_of(task, LABELS).views(of, kept)  # several labels are not taken for each other
    assert isinstance(curves, AgainstTheRest)
    told = curves.classes
    assert [told[label][0].tolist() for label in LABELS] == [[True, True, False], [False, True, False], [False] * 3]
    assert all(told[label][1].round(2).tolist() == told[label][0].tolist() for label in LABELS)


def test_of_very_many_targets_some_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_NUMBERS", 12)
    tags = [[0, 1], [2, 0], [1, -100]]
    of = split_of(IDS, targets=[2, 2, 1], labels=tags, gold=[[0, 1], [2, 0], [1]], seen=[[1, 1], [1, 1], [1]])
    logits = torch.eye(3)[[0, 1, 2, 0, 1, 2]].reshape(3, 2, 3) * 9
    work = work_of(TokenClassification(), ["O", "B-A", "I-A"], Tokenizer)
    batches, rows = Batches(work, ALONE.device), iter([np.array([0, 1]), np.array([2])])
    kept = evaluate(lambda _: {"logits": logits[next(rows)]}, batches, of, ALONE, 2, details=True).kept
    assert kept.detailed.tolist() == [0, 2], "15 numbers in all: every second row"
    *_, curves = work.views(of, kept)
    assert isinstance(curves, AgainstTheRest) and curves.of == "tokens"
    assert curves.classes["O"][0].tolist() == [True, False, False], "the tags O and B-A of row 0, B-A of row 2"
    assert curves.classes["O"][1] == pytest.approx([1, 0, 0], abs=1e-3)
    assert curves.classes["B-A"][0].tolist() == [False, True, True]


class Odd(text_classification.Work):
    """A task whose outputs `detail` cannot read."""

    def detail(self, outputs: Any, wanted: Any) -> Any:
        raise RuntimeError("of another shape")


def test_outputs_that_cannot_be_read_in_detail_cost_only_the_curves() -> None:
    of = split_of(IDS, labels=np.array([2, 0, 2]))
    work = Odd(TextClassification(), Reader(LABELS, Tokenizer, 9))  # type: ignore[arg-type]
    batches = Batches(work, ALONE.device)
    kept = evaluate(lambda given: {"logits": torch.eye(3)}, batches, of, ALONE, 3, details=True).kept
    made = ResultGallery(Said(), work, of, kept)  # type: ignore[arg-type]
    made.show({"classes": {"a": {}}}, 5)
    assert set(made.board.shown) == {"test/classes", "what the test split shows"}  # type: ignore[attr-defined]
    assert [name for name, _ in made._views()] == ["test/confusion-texts"]
    said = "the precision-recall curves are not drawn: RuntimeError: of another shape"
    assert made.board.told == [said]  # type: ignore[attr-defined]


def test_a_row_that_no_rank_evaluated_or_two_did_is_noticed() -> None:
    for rows in ([0], [0, 1, 1]):
        keeping = Keeping(2)
        for row in rows:
            keeping.add(np.array([row]), {"predicted": np.array([1])})
        with pytest.raises(WorkerError, match="1 of 2 rows were not evaluated once"):
            keeping.together(ALONE)


def test_a_model_without_a_table_costs_only_its_points() -> None:
    of = split_of(IDS, labels=np.array([2, 0, 2]))
    made = gallery(TextClassification(), of, predicted(np.array([2, 0, 2])))
    made.work.reader = made.work.reader._replace(tokenizer=Tokenizer)  # type: ignore[arg-type]
    made.look(nn.Linear(2, 2))
    assert made.points is None
    assert "the token vectors are not shown: AttributeError" in made.board.told[0]  # type: ignore[attr-defined]


class Model(nn.Module):
    """A table and two like layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 2)
        self.layers = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(2))
        self.table.weight.requires_grad = False

    def get_input_embeddings(self) -> nn.Module:
        return self.table


@pytest.mark.parametrize(
    ("task", "labels", "typical"),
    [
        (TextClassification(), np.array([2, 0, 1]), {"t2": "好评", "t3": "差评", "t4": "中评"}),
        (
            MultiLabelClassification(),
            np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0]]),
            {"t2": "好评", "t3": "差评", "t4": "-"},
        ),
        (
            TokenClassification(),
            [[0, 2], [0, -100], [0, 1]],
            {"t1": "差评", "t2": "好评", "t3": "-", "t4": "中评"},
        ),
    ],
)
def test_tokens_stand_with_their_vectors_counts_and_labels(task: Any, labels: Any, typical: dict[str, str]) -> None:
    model = Model()
    found = token_points(model, work_of(task, LABELS, Tokenizer), split_of(IDS, labels=labels))
    assert found.columns == ["token", "label", "count"]
    assert [row[0] for row in found.rows] == ["t1", "t2", "t3", "t4"]
    assert [row[2] for row in found.rows] == ["3", "1", "1", "1"]
    assert np.array_equal(found.vectors, model.table.weight[1:5].detach().numpy())
    assert {row[0]: row[1] for row in found.rows}.items() >= typical.items()


def test_a_summary_counts_what_trains() -> None:
    assert model_summary(Model()).splitlines()[2:] == [
        "| `table.weight` | 1 | 6 x 2 | 12 | no |",
        "| `layers.*.weight` | 2 | 2 x 2 | 8 | yes |",
        "| all | 3 | | 20 | 8 |",
    ]
