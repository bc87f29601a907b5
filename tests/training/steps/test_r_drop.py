"""R-Drop: two answers to each row, how far they lie apart, and one curve on any layout."""

import math

import pytest
import torch
from at_work import work_of

from launcher import MultiLabelClassification, TextClassification, TokenClassification
from launcher.training.steps.r_drop import twice

STEPS = 12
USUAL = {"max_steps": STEPS, "checkpoint_every": 6, "keep_checkpoints": 9, "evaluate_every": STEPS}


def divergence(task, one, other, labels):
    return float(work_of(task).divergence({"logits": one}, {"logits": other}, {"labels": labels}))


def kullback_leibler(one, other):
    return sum(p * math.log(p / q) for p, q in zip(one, other, strict=True))


def test_the_divergence_is_that_of_the_two_answers_in_both_directions():
    first, second = [[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]], [[0.1, 0.3, 0.6], [0.2, 0.2, 0.6]]
    one, other, labels = torch.tensor(first).log() + 3.0, torch.tensor(second).log() - 1.0, torch.tensor([2, 0])
    by_hand = [
        (kullback_leibler(p, q) + kullback_leibler(q, p)) / 2 for p, q in zip(first, second, strict=True)
    ]  # fmt: skip
    assert divergence(TextClassification(), one, other, labels) == pytest.approx(sum(by_hand), rel=1e-5)
    assert divergence(TextClassification(), one, one, labels) == 0.0
    # tokens: [rows, width, classes] against [rows, width]
    tokens = divergence(TokenClassification(), one.unsqueeze(0), other.unsqueeze(0), torch.tensor([[1, -100]]))
    assert tokens == pytest.approx(by_hand[0], rel=1e-5)


def test_where_each_logit_is_a_yes_or_no_that_is_what_differs():
    yes, other = torch.tensor([[0.9, 0.4]]), torch.tensor([[0.2, 0.8]])
    by_hand = sum(
        (kullback_leibler((p, 1 - p), (q, 1 - q)) + kullback_leibler((q, 1 - q), (p, 1 - p))) / 2
        for p, q in ((0.9, 0.2), (0.4, 0.8))
    )
    told = divergence(MultiLabelClassification(), yes.logit(), other.logit(), torch.tensor([[1, 0]]))
    assert told == pytest.approx(by_hand, rel=1e-5)


def test_each_row_is_there_twice():
    inputs = {"input_ids": torch.tensor([[1, 2], [3, 4]]), "attention_mask": torch.tensor([[1, 1], [1, 0]])}
    doubled = twice(inputs)
    assert doubled["input_ids"].tolist() == [[1, 2], [3, 4], [1, 2], [3, 4]]
    assert doubled["attention_mask"].tolist() == [[1, 1], [1, 0], [1, 1], [1, 0]]


@pytest.mark.parametrize("model", ["mean", "ner", "several", "focal", "pairs", "bag"])
def test_without_dropout_the_curve_is_the_plain_one_on_one_process_and_two(warm, model):
    plain = warm.finished(model, "Full", "single", 1, **USUAL)
    alone = warm.finished(model, "Full", "single", 1, r_drop=1.0, **USUAL)
    both = warm.finished(model, "Full", "ddp", 2, r_drop=1.0, micro_batch_size=3, **USUAL)
    assert len(plain.losses) == STEPS and len(set(plain.losses)) > 10
    for other in (alone, both):
        assert len(other.losses) == STEPS
        assert max(abs(a - b) for a, b in zip(plain.losses, other.losses, strict=True)) < 1e-5


@pytest.mark.parametrize("strategy", ["fsdp2", "zero2", "zero3"])
def test_under_sharding_too(warm, strategy):
    alone = warm.finished("bert", "LoRA", "single", 1, r_drop=1.0, **USUAL)
    both = warm.finished("bert", "LoRA", strategy, 2, r_drop=1.0, **USUAL)
    assert len(alone.losses) == len(both.losses) == STEPS
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5


def test_with_dropout_the_weight_multiplies_what_lies_between_the_answers(warm):
    """The first step's dropout is the same whatever the weight, so its loss is a line in the weight."""
    runs = [
        warm.finished("bert", "Full", "single", 1, dropout=0.3, r_drop=weight, **USUAL) for weight in (1e-9, 100, 300)
    ]
    mean, hundred, more = (run.losses[0] for run in runs)
    assert hundred - mean > 1e-3
    assert more - mean == pytest.approx(3 * (hundred - mean), rel=1e-3)
    assert runs[0].losses[0] != warm.finished("bert", "Full", "single", 1, dropout=0.3, **USUAL).losses[0]


def test_a_resumed_run_goes_on_bit_by_bit(warm):
    whole = warm.finished("bert", "Full", "ddp", 2, dropout=0.3, r_drop=1.0, **USUAL)
    resumed = warm.resume(whole, 6, "ddp", 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    later = {step: loss.hex() for step, loss in whole.steps.items() if step > 6}
    assert {step: loss.hex() for step, loss in resumed.steps.items() if step > 6} == later and len(later) == 6


def test_the_memory_that_is_predicted_is_that_of_twice_the_rows(warm):
    plain = warm.finished("bert", "Full", "single", 1, micro_batch_size=8, **USUAL)
    single = warm.finished("bert", "Full", "single", 1, micro_batch_size=4, r_drop=1.0, **USUAL)
    double = warm.finished("bert", "Full", "single", 1, micro_batch_size=8, r_drop=1.0, **USUAL)
    told = [run.outcome["memory"]["predicted"]["activations"] for run in (plain, single, double)]
    assert told[0] == told[1] < told[2]
