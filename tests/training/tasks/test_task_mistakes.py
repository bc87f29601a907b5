"""What a task of the user's own may get wrong on the seam: each is told in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from at_work import split_of
from torch import nn

from launcher import TextClassification
from launcher.errors import WorkerError
from launcher.training.distributed.world import World
from launcher.training.evaluation import evaluate
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.steps.r_drop import RDrop
from launcher.training.steps.shape import mean_of
from launcher.training.tasks.base import Reader, TaskWork
from launcher.training.tasks.collate import Batch, Batches
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
