"""What an evaluation keeps for figures, and what is made of it, against values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from launcher.json_files import write_json
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.model_parts.summary import model_summary
from launcher.training.report import fonts
from launcher.training.report import gallery as galleries
from launcher.training.report import predictions as witnesses
from launcher.training.report.gallery import ResultGallery
from launcher.training.report.predictions import PredictionRecorder
from launcher.training.report.token_points import token_points
from launcher.training.tasks import multi_label_classification, text_classification, token_classification

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

    @staticmethod
    def convert_ids_to_tokens(numbers: list[int]) -> list[str]:
        return [f"t{number}" for number in numbers]


def split(labels: list[int], targets: int = 1, **more: list[int]) -> Split:
    """Three rows of two tokens each, all in all 1 2, 1 3, 1 4."""
    columns = {"input_ids": [1, 2, 1, 3, 1, 4], "offsets": [0, 2, 4, 6], "labels": labels, "targets": [targets] * 3}
    return Split({name: np.array(values) for name, values in {**columns, **more}.items()})


def gallery(work: Any, of: Split) -> ResultGallery:
    return ResultGallery(Said(), work, LABELS, of, None)  # type: ignore[arg-type]


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
            galleries.show_data(board, tmp_path)  # type: ignore[arg-type]
            board.shown["data/labels"]()
        assert len(board.told) == wanted and all("apt-get install fonts-noto-cjk" in told for told in board.told)


def test_the_probabilities_of_each_class_meet_its_targets() -> None:
    made = gallery(text_classification.Work(), split([2, 0, 2]))
    logits = torch.tensor([[0.0, 0, 9], [9, 0, 0], [9, 0, 0]])
    for rows in ([0, 2], [1]):  # in any order
        made.recorder.record(np.array(rows), logits[rows], torch.tensor([2, 0, 2])[rows])
    made.recorder.gather(ALONE, np.array([2, 0, 0]))
    told = made._against_the_rest()
    assert [told[label][0].tolist() for label in LABELS] == [[False, True, False], [False] * 3, [True, False, True]]
    assert told["好评"][1] == pytest.approx([1, 0, 0], abs=1e-3)
    (name, figure), *rest = made._confusions()
    assert name == "test/confusion-texts" and not rest
    assert {text.get_position(): text.get_text() for text in figure.axes[0].texts} == {
        **{(0, 0): "1", (0, 2): "1", (2, 2): "1"}
    }


def test_of_several_labels_each_decision_meets_its_probability() -> None:
    wanted = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    made = gallery(multi_label_classification.Work(), split(wanted.flatten().tolist(), targets=3))
    logits = torch.where(wanted == 1, 9.0, -9.0)
    made.recorder.record(np.arange(9), logits, wanted)
    made.recorder.gather(ALONE, wanted.flatten().numpy())
    told = made._against_the_rest()
    assert [told[label][0].tolist() for label in LABELS] == [[True, True, False], [False, True, False], [False] * 3]
    assert all(told[label][1].round(2).tolist() == told[label][0].tolist() for label in LABELS)
    assert list(made._confusions()) == [], "several labels are not taken for each other"


def test_of_very_many_targets_some_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesses, "MOST_SCORES", 6)
    made = gallery(token_classification.Work("words"), split([0, 1, 2, 0, 1, 2], targets=2, gold=[]))
    assert (made.recorder.stride, made.recorder.scores.shape) == (3, (2, 3))
    logits = torch.eye(3)[[0, 1, 2, 0, 1, 2]].reshape(3, 2, 3) * 9
    made.recorder.record(np.arange(6), logits, torch.tensor([[0, 1], [2, 0], [1, 2]]))
    made.recorder.gather(ALONE, np.arange(6))
    told = made._against_the_rest()
    assert told["差评"][0].tolist() == [True, True], "targets 0 and 3"
    assert told["差评"][1] == pytest.approx([1, 1], abs=1e-3)


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_logits_of_another_shape_cost_only_the_curves(shape: tuple[int, ...]) -> None:
    made = gallery(text_classification.Work(), split([2, 0, 2]))
    made.recorder.record(np.arange(3), torch.zeros(shape), torch.tensor([2, 0, 2, 9]))
    made.recorder.gather(ALONE, np.array([2, 0, 2]))
    made.show({"classes": {"a": {}}}, 5)
    assert set(made.board.shown) == {"test/classes", "the confusion matrix"}  # type: ignore[attr-defined]
    assert "the precision-recall curves are not drawn: " in made.board.told[0]  # type: ignore[attr-defined]


def test_what_another_rank_could_not_read_is_noticed() -> None:
    recorder = PredictionRecorder(split([2, 0, 2]), 3)
    recorder.record(np.array([0]), torch.zeros(1, 3), torch.tensor([2]))
    recorder.gather(ALONE, np.array([2, 0, 2]))
    assert recorder.broken == "another rank could not read the logits"


def test_a_model_without_a_table_costs_only_its_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "load_tokenizer", lambda folder: Tokenizer())
    made = gallery(text_classification.Work(), split([2, 0, 2]))
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
    ("columns", "typical"),
    [
        (split([2, 0, 1]), {"t2": "好评", "t3": "差评", "t4": "中评"}),
        (split([0, 0, 1, 1, 0, 0, 0, 0, 0], targets=3), {"t2": "好评", "t3": "差评", "t4": "-"}),
        (split([0, 2, 0, -100, 0, 1], gold=[]), {"t1": "差评", "t2": "好评", "t3": "-", "t4": "中评"}),
    ],
)
def test_tokens_stand_with_their_vectors_counts_and_labels(columns: Split, typical: dict[str, str]) -> None:
    model = Model()
    found = token_points(model, Tokenizer, columns.columns, LABELS)
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
