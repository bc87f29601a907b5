"""A number for a text or a pair of texts: its metrics by hand, and a run from the file to the prediction."""

import json
import math

import numpy as np
import pytest
import torch
from at_work import predicted, texts_of, work_of
from command_line import typed

import launcher
from launcher import CustomTask, DataError, Regression, predict
from launcher.training.data import Row
from launcher.training.tasks.regression import ranks

STEPS = 12
USUAL = {"max_steps": STEPS, "checkpoint_every": 6, "keep_checkpoints": 9, "evaluate_every": STEPS}
METRICS = ("spearman", "pearson", "mean_absolute_error")


@pytest.fixture
def work():
    return work_of(Regression(), ["label"])


def scored(work, gold, told):
    return work.score(texts_of(np.float32(gold)), predicted(np.float32(told)))


def test_the_correlations_and_the_error_are_those_that_a_hand_finds(work):
    # ranks 1 2 3 4 and 1 3 2 4: 1 - 6 * (1 + 1) / (4 * 15)
    metrics = scored(work, [1, 2, 3, 5], [0, 2, 1, 9])
    assert metrics["spearman"] == pytest.approx(1 - 12 / 60)
    around, other = np.array([-1.75, -0.75, 0.25, 2.25]), np.array([-3, -1, -2, 6])
    assert metrics["pearson"] == pytest.approx(around @ other / math.sqrt((around @ around) * (other @ other)))
    assert metrics["mean_absolute_error"] == pytest.approx((1 + 0 + 2 + 4) / 4)
    assert set(metrics) == set(METRICS) and all(type(value) is float for value in metrics.values())
    bent = scored(work, [1, 2, 3, 4], [1, 10, 100, 1000])
    assert bent["spearman"] == pytest.approx(1) and bent["pearson"] < 0.9
    assert scored(work, [1, 2, 3], [0.3, 0.2, 0.1])["pearson"] == pytest.approx(-1)


def test_equal_numbers_share_the_mean_of_their_ranks(work):
    from scipy.stats import rankdata, spearmanr

    numbers = np.array([3.0, 1.0, 3.0, 2.0, 3.0])
    assert ranks(numbers).tolist() == [4, 1, 4, 2, 4] == rankdata(numbers).tolist()
    told = [0.5, 0.5, 1.0, 0.25, 2.0]
    assert scored(work, numbers, told)["spearman"] == pytest.approx(spearmanr(numbers, told).statistic)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("gold", "told"),
    [([1, 2, 3], [2, 2, 2]), ([2, 2, 2], [1, 2, 3]), ([1], [1]), ([1, 2, 3], [1, math.nan, 3])],
    ids=["one answer", "one number", "one row", "nan"],
)
def test_a_correlation_with_what_never_changes_has_no_value(work, gold, told):
    metrics = scored(work, gold, told)
    assert math.isnan(metrics["spearman"]) and math.isnan(metrics["pearson"])
    assert math.isnan(metrics["mean_absolute_error"]) == any(map(math.isnan, told))


@pytest.mark.parametrize(
    ("gold", "told", "answer"),
    [([1, 2], [0.25, 0.25], "0.25"), ([1, 2], [0.25, 0.5], ""), ([1, 1], [0.25, 0.25], "")],
)
def test_one_answer_to_different_texts_is_named(work, gold, told, answer):
    assert work.only_answer(texts_of(np.float32(gold)), predicted(np.float32(told))) == answer


def test_numbers_of_any_size_have_correlations(work):
    largest, least = 3.4e38, 1e-44
    for scale in (largest, least):
        metrics = scored(work, np.array([-1, 0.5, 1]) * scale, np.array([-1, 1, 0.5]) * scale)
        assert metrics["spearman"] == pytest.approx(0.5) and math.isfinite(metrics["pearson"])


def test_the_loss_is_the_squared_error_summed_over_rows(work):
    logits, labels = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 0.0, 5.5])
    assert float(work.loss({"logits": logits}, {"labels": labels})["loss"]) == pytest.approx(0 + 4 + 2.25)
    half = logits.to(torch.bfloat16)
    assert work.loss({"logits": half}, {"labels": labels})["loss"].dtype == torch.float32
    _, planned = work.sample(3, 5)
    assert float(work.loss({"logits": logits}, planned)["loss"]) == 1 + 4 + 16


def test_two_answers_lie_as_far_apart_as_the_normal_distributions_around_them(work):
    one, other = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.5], [0.0]])
    normals = [torch.distributions.Normal(each, math.sqrt(0.5)) for each in (one, other)]
    by_hand = torch.distributions.kl_divergence(*normals).sum()
    assert float(work.divergence({"logits": one}, {"logits": other}, {})) == pytest.approx(float(by_hand))


def test_numbers_become_a_column_of_floats_and_are_shown(bert):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert)
    work = work_of(Regression(), ["label"], tokenizer)
    split = work.encode([Row("word1", "1e-1", ""), Row("word2 word3", "-3", "")]).split
    assert split.array("labels").dtype == np.float32 and split.targets["loss"].tolist() == [1, 1]
    batch = work.collate(split, np.array([1, 0]), None)
    assert batch["labels"].tolist() == [-3.0, np.float32(0.1)]
    assert work.shown(split, 0) == "0.1: [CLS] word1 [SEP]"


def test_a_task_of_the_users_own_may_be_like_it():
    source = """
from launcher import extend
class Mine(extend.RegressionWork): ...
def work(task, reader): return Mine(task, reader)
"""
    task = CustomTask(file="my.py", source=source, like=Regression())
    assert tuple(work_of(task, ["label"]).metric_names) == tuple(Regression.metrics)


@pytest.mark.parametrize("model", ["numbers", "alike"])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_the_curve_does_not_hang_on_the_number_of_processes(warm, model, strategy):
    alone, both = (warm.finished(model, "Full", *where, **USUAL) for where in (("single", 1), (strategy, 2)))
    assert len(alone.losses) == len(both.losses) == STEPS == len(set(alone.losses))
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    one, other = (run.outcome["metrics"]["test"] for run in (alone, both))
    assert one["mean_absolute_error"] == pytest.approx(other["mean_absolute_error"], abs=1e-5)
    # after so few steps all answers are nearly the same: their last bits turn the order of two of them about
    assert [one[name] for name in METRICS[:2]] == pytest.approx([other[name] for name in METRICS[:2]], abs=1e-2)


def test_a_resumed_run_goes_on_bit_by_bit(warm):
    whole = warm.finished("alike", "Full", "ddp", 2, **USUAL)
    resumed = warm.resume(whole, 6, "ddp", 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    later = {step: loss.hex() for step, loss in whole.steps.items() if step > 6}
    assert {step: loss.hex() for step, loss in resumed.steps.items() if step > 6} == later and len(later) == 6


def test_a_run_learns_predicts_and_is_evaluated(warm, data):
    run = warm.finished("numbers", "Full", "single", 1)
    metrics = run.outcome["metrics"]
    assert metrics["test"]["spearman"] > 0.8 and metrics["test"]["pearson"] > 0.8
    assert metrics["test"]["mean_absolute_error"] < metrics["before"]["mean_absolute_error"] / 2
    even, odd = predict(run.folder.path, ["word10 word22 word4", "word3 word21"], run.folder.path.parent)
    assert set(even) == {"number"} and type(even["number"]) is float
    assert even["number"] > odd["number"] + 0.3
    again = launcher.evaluate(str(run.folder.path))
    assert [again[name] for name in METRICS] == pytest.approx([metrics["test"][name] for name in METRICS], abs=1e-6)
    given = launcher.evaluate(str(run.folder.path), data=str(data / "numbers.tsv"))
    assert given["examples"] == 203 and given["spearman"] > 0.8


def test_a_pair_is_given_one_number(warm):
    run = warm.finished("alike", "Full", "single", 1, **USUAL)
    (told,) = predict(run.folder.path, [("word1 word2", "word1 word2")], run.folder.path.parent)
    assert set(told) == {"number"} and math.isfinite(told["number"])
    with pytest.raises(DataError, match="the model takes pairs of texts"):
        predict(run.folder.path, ["word1"], run.folder.path.parent)
    words = ["predict", run.folder.name, "--runs", run.folder.path.parent, "word1 word2", "word1 word2"]
    done = typed(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{told['number']:.4f}\tword1 word2\tword1 word2\n"
    done = typed(*words, "--json")
    assert json.loads(done.stdout)[0]["number"] == pytest.approx(told["number"])
