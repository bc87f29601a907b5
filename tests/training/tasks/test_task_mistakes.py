"""What a task of the user's own may get wrong on the seam: each is told in a sentence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from at_work import ragged, same, split_of
from torch import nn

from launcher import TextClassification, TokenClassification
from launcher.errors import DataError, WorkerError
from launcher.training import evaluation
from launcher.training.batches.split import Split
from launcher.training.data import Row
from launcher.training.distributed.world import World
from launcher.training.evaluation import evaluate
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.report.gallery import ResultGallery
from launcher.training.steps.r_drop import RDrop
from launcher.training.steps.shape import mean_of
from launcher.training.tasks import token_classification
from launcher.training.tasks.base import Encoded, Kept, Reader, TaskWork, encoded
from launcher.training.tasks.collate import Batch, Batches
from launcher.training.tasks.keeping import Keeping
from launcher.training.tasks.text_classification import Work

ALONE = World(0, 0, 1, torch.device("cpu"))


class Tokenizer:
    pad_token_id = 0


READER = Reader(["a", "b"], Tokenizer, 9)  # type: ignore[arg-type]


class KeepsOne(Work):
    """A value for the batch, not for each row."""

    def keep(self, outputs: Any, wanted: Any) -> Any:
        return {"predicted": np.zeros(1, dtype=np.int32)}


class WantsMore(Work):
    """A column that `encode` does not give."""

    wanted = {"labels": 0, "weights": 0}  # noqa: RUF012


class NoDivergence(Work):
    """As a class that inherits from `TaskWork` itself."""

    divergence = TaskWork.divergence


def evaluated(work: Work) -> Any:
    split = split_of([[1, 2], [3, 4]], labels=np.array([0, 1]))
    return evaluate(lambda _: {"logits": torch.eye(2)}, Batches(work, ALONE.device), split, ALONE, 2)


def test_a_task_that_is_right_is_evaluated() -> None:
    metrics = evaluated(Work(TextClassification(), READER)).metrics
    assert metrics["accuracy"] == 1.0 and metrics["examples"] == 2


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (KeepsOne, "the task keeps 'predicted' of 1 rows, of a batch of 2"),
        (WantsMore, "the task wants weights, and its batches hold input_ids, labels"),
    ],
)
def test_what_is_kept_and_wanted_must_fit_the_rows(kind: type[Work], told: str) -> None:
    with pytest.raises(WorkerError, match=told):
        evaluated(kind(TextClassification(), READER))


def test_r_drop_needs_a_divergence() -> None:
    batch = Batch({"input_ids": torch.zeros(2, 2)}, {"labels": torch.tensor([0, 1])})
    with pytest.raises(WorkerError, match=r"NoDivergence has no divergence\(\)"):
        RDrop(1.0).losses(NoDivergence(TextClassification(), READER), lambda _: {"logits": torch.zeros(4, 2)}, batch)


def test_losses_have_the_names_of_their_targets() -> None:
    assert float(mean_of({"a": torch.tensor(6.0), "b": torch.tensor(1.0)}, {"a": 3, "b": 2})) == 2.5
    with pytest.raises(WorkerError, match=r"loss\(\) gives a, and its encode\(\) has targets for loss"):
        mean_of({"a": torch.tensor(1.0)}, {"loss": 1})


def test_outputs_that_the_forward_does_not_give_are_named() -> None:
    class Model(nn.Module):
        def forward(self, **_: Any) -> Any:
            from transformers.modeling_outputs import SequenceClassifierOutput

            return SequenceClassifierOutput(logits=torch.zeros(1))  # type: ignore[arg-type]

    with pytest.raises(WorkerError, match="the task takes transitions of the forward pass, which gives logits"):
        outputs_of(Model(), {}, ("logits", "transitions"))


class Keeps(Work):
    """What a test says, for each batch anew."""

    kept: Any = ()

    def keep(self, outputs: Any, wanted: Any) -> Any:
        return {"predicted": next(self.kept)}


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ([torch.zeros(1)], "the task keeps 'predicted' as a Tensor"),
        ([[0]], "the task keeps 'predicted' as a list"),
        (
            [np.zeros((1, 3)), np.zeros((1, 1))],
            r"as float64 \[rows, 3\] of one batch and as float64 \[rows, 1\] ",
        ),
        ([np.zeros(1), np.zeros(1, np.int32)], r"as float64 \[rows\] of one batch and as int32 \[rows\] of another"),
    ],
)
def test_values_that_are_kept_are_arrays_of_one_kind(kept: list[Any], told: str) -> None:
    work = Keeps(TextClassification(), READER)
    work.kept = iter(kept)
    split = split_of([[1, 2], [3, 4]], labels=np.array([0, 1]))
    with pytest.raises(WorkerError, match=told):
        evaluate(lambda _: {"logits": torch.eye(2)[:1]}, Batches(work, ALONE.device), split, ALONE, 1)


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.bool_, np.float32, np.int8])
def test_values_of_every_type_come_together(kind: Any) -> None:
    keeping = Keeping(3)
    for rows in ([2, 0], [1]):
        keeping.add(
            np.array(rows), {"a": np.array(rows).astype(kind), "b": ragged([[row] * row for row in rows], kind)}
        )
    together = keeping.together(ALONE)
    assert same(together["a"], np.arange(3).astype(kind))
    assert same(together["b"], ragged([[], [1], [2, 2]], kind))


def test_a_batch_without_a_row_to_keep_in_detail_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_NUMBERS", 4)
    tags = [[0, 1], [1, 0]]
    split = split_of([[1, 2], [3, 4]], targets=2, labels=tags, gold=tags, seen=[[1, 1], [1, 1]])
    work = token_classification.Work(TokenClassification(), Reader(["O", "B-A"], Tokenizer, 9))  # type: ignore[arg-type]
    batches = Batches(work, ALONE.device)
    kept = evaluate(lambda _: {"logits": torch.eye(2)[None]}, batches, split, ALONE, 1, details=True).kept
    assert kept.detailed.tolist() == [0] and not kept.broken
    assert [len(values) for values in (kept.details["probabilities"].values,)] == [2]


class Masks(Work):
    """Puts a token into each row that the row does not have."""

    def collate(self, split: Any, rows: Any, draw: Any) -> Any:
        batch = super().collate(split, rows, draw)
        batch["input_ids"][:, 0] = 7
        return batch


class SaysSo(Masks):
    feeds_any_token = True


def test_a_task_that_draws_tokens_must_say_so() -> None:
    with pytest.raises(WorkerError, match="puts tokens into a batch that its rows do not have") as caught:
        evaluated(Masks(TextClassification(), READER))
    assert caught.value.problems[0].do == "write feeds_any_token = True in its class"
    assert evaluated(SaysSo(TextClassification(), READER)).metrics["examples"] == 2


def test_a_loss_must_be_summed() -> None:
    with pytest.raises(WorkerError, match=r"gives 'loss' as a tensor of shape \[3\]"):
        mean_of({"loss": torch.ones(3)}, {"loss": 3})


def encoding(**other: Any) -> Any:
    """A task whose `encode` gives this in place of what is right, of two rows of the data."""

    class Encodes(Work):
        def encode(self, examples: Any) -> Encoded:
            split = split_of([[1, 2], [3, 4], [5]], labels=np.array([0, 1, 1]))
            parts = {"truncated": np.zeros(2, bool), "example": np.array([0, 1, 1]), **other}
            columns = {**split.columns, **parts.get("columns", {})}
            return Encoded(Split(columns, split.targets, split.cost, parts["example"]), parts["truncated"])

    return encoded(Encodes(TextClassification(), READER), [Row("a", "a", ""), Row("b", "b", "")])


def test_what_encode_gives_must_belong_together() -> None:
    assert encoding().split.examples == 2
    for other, told in (
        ({"columns": {"labels": np.array([0, 1])}}, "the column 'labels' has 2 rows, and cost 3"),
        ({"example": np.array([0, 0, 0])}, "example does not name each of the 2 examples from 0 on"),
        ({"example": np.array([1, 0, 1])}, "the rows of one example do not follow each other"),
        ({"truncated": np.zeros(3, bool)}, "truncated has 3 values for 2 examples"),
    ):
        with pytest.raises(DataError, match=told):
            encoding(**other)


def test_a_result_whose_one_answer_cannot_be_asked_is_no_error() -> None:
    told: list[str] = []
    board: Any = SimpleNamespace(say=told.append)
    kept = Kept({"score": np.zeros(1)})
    gallery = ResultGallery(board, Work(TextClassification(), READER), split_of([[1]], labels=np.array([0])), kept)
    assert gallery.doubts({"accuracy": 0.5}, "accuracy", 1) == []
    assert told == ["whether every answer is the same is not known: KeyError: 'predicted'"]


def test_numbers_of_each_token_stay_numbers() -> None:
    weights = ragged([[0.5, 0.75], [1.5]], np.float32)
    assert weights.padded(np.array([0, 1]), 0).tolist() == [[0.5, 0.75], [1.5, 0.0]]
    assert ragged([[1], [2]], np.int32).padded(np.array([0, 1]), 0).dtype == np.int64
