"""Question answering without a run: its loss, its metrics and the threshold for no answer, and what it tells."""

import math

import numpy as np
import pytest
import torch
from asked import ENDS, asking, kept_of, row, told
from at_work import work_of

from launcher import CustomTask, QuestionAnswering
from launcher.training.tasks.base import encoded


@pytest.mark.parametrize("padded", [False, True])
def test_the_loss_is_that_of_transformers_without_its_padding(padded, bert):
    from transformers import AutoModelForQuestionAnswering

    torch.manual_seed(0)
    model = AutoModelForQuestionAnswering.from_pretrained(bert).eval()
    rows = [row("天", "地玄黄", "黄"), row("天", "地玄宇", "地玄")] + ([row("天地", "玄" * 9)] if padded else [])
    work = asking()
    split = encoded(work, rows).split
    batch = {
        name: torch.from_numpy(values) for name, values in work.collate(split, np.arange(split.rows), None).items()
    }
    wanted = {name: batch.pop(name) for name in work.wanted}
    outputs = {name: getattr(model(**batch), name).detach() for name in work.outputs}
    ours = work.loss(outputs, wanted)["loss"] / split.rows
    if padded:  # what the library makes of rows without padding, one by one
        theirs = []
        for number in range(split.rows):
            length = int(split.cost[number])
            positions = {name: wanted[name][number : number + 1] for name in ("start_positions", "end_positions")}
            theirs.append(
                model(
                    input_ids=batch["input_ids"][number : number + 1, :length],
                    token_type_ids=batch["token_type_ids"][number : number + 1, :length],
                    **positions,
                ).loss
            )
        expected = torch.stack(theirs).mean()
    else:
        assert "attention_mask" not in batch
        expected = model(**batch, start_positions=wanted["start_positions"], end_positions=wanted["end_positions"]).loss
    assert float(ours) == pytest.approx(float(expected.detach()), abs=1e-6)
    assert work.loss({name: outputs[name].bfloat16() for name in work.outputs}, wanted)["loss"].dtype == torch.float32


def test_two_answers_to_a_row_lie_apart_by_their_distributions_over_tokens():
    work, wanted = asking(), {"ends": torch.tensor([[0, 3, 4, -1]])}
    one, other = (torch.tensor([[1.0, 2.0, 0.5, 9.0]]), torch.tensor([[0.0, 1.0, 3.0, -9.0]]))
    told = work.divergence(dict.fromkeys(work.outputs, one), dict.fromkeys(work.outputs, other), wanted)
    first, second = (torch.distributions.Categorical(logits=each[:, :3]) for each in (one, other))
    kl = torch.distributions.kl_divergence
    assert float(told) == pytest.approx(float((kl(first, second) + kl(second, first)) / 2))


def test_the_best_window_answers_and_the_least_likely_none_counts():
    work = asking(max_length=9)
    split = encoded(work, [row("天", "地玄黄宇宙天地玄黄", "宇宙"), row("天", "玄黄")]).split
    assert len(split.rows_of(0)) == 3
    kept = kept_of(split, ((2, 4), 2.0, 9.0), ((3, 5), 5.0, 1.0), ((7, 8), 1.0, 3.0), ((0, 1), 4.0, 2.0))
    metrics = work.score(split, kept)  # no answer is likelier by -4 and by -2
    assert metrics == {
        **{"exact_match": 1.0, "f1": 1.0, "scored_as": "cmrc", "has_answer_f1": 1.0, "no_answer_accuracy": 1.0},
        **{"no_answer_threshold": -3.0, "best_threshold": -3.0, "best_f1": 1.0},
    }


def test_the_threshold_of_the_validation_split_is_kept_and_the_best_one_told_apart():
    work, other = asking(), [row("天", "地玄黄", "黄"), row("地", "玄黄"), row("玄", "宇宙", "宇")]
    split = encoded(work, other).split
    kept = kept_of(split, ((2, 3), 5.0, 1.0), ((0, 1), 1.0, 3.0), ((0, 1), 2.0, 4.5))
    metrics = work.score(split, kept)
    assert metrics["no_answer_threshold"] == metrics["best_threshold"] == -1.0  # between -4 and 2; 2.5 is the third
    assert (metrics["f1"], metrics["best_f1"], metrics["has_answer_f1"]) == pytest.approx((2 / 3, 2 / 3, 1 / 2))
    settled = work.settled_by({"no_answer_threshold": -5.0, "scored_as": "squad", "f1": 1.0})
    again = settled.score(split, kept)
    assert again["no_answer_threshold"] == -5.0 and again["scored_as"] == "squad"
    assert (again["f1"], again["no_answer_accuracy"], again["has_answer_f1"]) == (pytest.approx(1 / 3), 1, 0)
    assert (again["best_threshold"], again["best_f1"]) == (metrics["best_threshold"], metrics["best_f1"])
    assert settled.only_answer(split, kept) == "no answer" and work.only_answer(split, kept) == ""
    assert work.chosen == {} and settled.chosen == {"no_answer_threshold": -5.0, "scored_as": "squad"}
    fixed = asking(no_answer_threshold=2.2).score(split, kept)
    assert fixed["no_answer_threshold"] == 2.2 and fixed["best_threshold"] == metrics["best_threshold"]


def test_without_unanswerable_questions_every_one_gets_an_answer():
    work = asking()
    split = encoded(work, [row("天", "地玄黄", "黄")]).split
    kept = kept_of(split, ((2, 3), -50.0, 9.0))
    metrics = work.score(split, kept)
    assert metrics == {"exact_match": 1.0, "f1": 1.0, "scored_as": "cmrc"}
    settled = work.settled_by(metrics)
    assert settled.threshold is None and settled.chosen["scored_as"] == "cmrc" and work.settled_by({}).chosen == {}
    assert work.score(split, kept_of(split, (None, -1e30, 0.0)))["exact_match"] == 0


def test_the_views_are_f1_by_length_and_whether_there_is_an_answer():
    work = asking()
    split = encoded(work, [row("天", "地玄黄", "玄黄"), row("地", "玄黄"), row("天", "地玄黄", "地")]).split
    bars, against = work.views(split, kept_of(split, ((1, 3), 5.0, 1.0), ((0, 1), 1.0, 3.0), ((2, 3), 4.0, 1.0)))
    assert [tuple(bar) for bar in bars.bars] == [("1", 0.0, 1), ("2", 1.0, 1)]
    truth, likely = against.classes["has an answer"]
    assert truth.tolist() == [True, False, True] and likely.tolist() == [4.0, -2.0, 3.0]


def test_an_answer_is_told_with_its_characters_and_the_next_best():
    text = ("天?", "地 玄黄，宇🙂宙天地玄黄宇宙天地玄黄")
    work = asking(max_length=16)
    answer = told(work, text, start={2: 5.0, 5: 3.0}, end={4: 5.0, 6: 4.0})
    assert (answer["answer"], answer["start"], answer["end"], answer["score"]) == ("玄黄", 2, 4, 10.0)
    best = [(each["text"], each["start"], each["end"]) for each in answer["answers"]]
    assert best[:3] == [("玄黄", 2, 4), ("玄黄，宇", 2, 6), ("宇", 5, 6)] and len(best) == len(set(best)) == 20
    assert sum(each["probability"] for each in answer["answers"]) == pytest.approx(1)
    assert work.likeliest(answer, 2)["answers"] == answer["answers"][:2]
    assert work.printed("天?\t地", answer, None) == f"天?\n  玄黄 [2:4] ({answer['probability']:.2f})"
    assert work.printed("天?\t地", work.likeliest(answer, 2), 2).splitlines()[2].startswith("  玄黄，宇 [2:6] (")


@pytest.mark.parametrize(("threshold", "given"), [(None, "玄"), (1.5, "玄"), (0.5, "")])
def test_no_answer_is_told_where_it_is_likelier_by_the_threshold(threshold, given):
    work = asking().settled_by({"no_answer_threshold": threshold, "scored_as": "cmrc"})
    answer = told(work, ("天?", "地玄黄"), start={1: 2.0}, end={2: 2.0}, none=2.5)
    assert answer["answer"] == given and any(each["text"] == "" for each in answer["answers"]) == (
        threshold is not None
    )
    if not given:
        assert (answer["start"], answer["end"], answer["score"]) == (None, None, 5.0)
        assert work.printed("天?\t地", answer, None).startswith("天?\n  no answer (")


def test_no_answer_has_its_score_however_many_are_likelier():
    work = asking().settled_by({"no_answer_threshold": -99.0, "scored_as": "cmrc"})
    answer = told(work, ("天?", "地玄黄宇宙天地玄黄"), start={}, end={}, none=-30.0)
    assert (answer["answer"], answer["score"], len(answer["answers"])) == ("", -60.0, 20)
    assert answer["answers"][-1]["probability"] == answer["probability"] < 1e-9


def test_a_threshold_lies_between_margins_that_are_neighbours_in_single_precision():
    low, high = np.float32(1), np.nextafter(np.float32(1), np.float32(2), dtype=np.float32)
    for one, other in ((low, high), (high, np.nextafter(high, np.float32(2), dtype=np.float32))):
        work = asking()
        split = encoded(work, [row("天", "地玄黄", "黄"), row("地", "玄黄")]).split
        metrics = work.score(split, kept_of(split, ((2, 3), 0.0, one), ((0, 1), 0.0, other)))
        assert metrics["f1"] == metrics["best_f1"] == 1


def test_a_context_without_a_token_has_no_answer():
    answer = told(asking(), ("天?", "\u200b"), start={}, end={})
    assert (answer["answer"], answer["start"], answer["probability"], answer["answers"]) == ("", None, None, [])


def test_a_row_is_shown_with_its_answer():
    work = asking()
    split = encoded(work, [row("天", "地玄黄", "玄黄"), row("天", "地")]).split
    assert work.shown(split, 0) == "玄 黄: [CLS] 天 [SEP] 地 玄 黄 [SEP]"
    assert work.shown(split, 1).startswith("no answer: [CLS]")


def test_a_planned_batch_has_a_loss(bert):
    work = asking()
    inputs, wanted = work.sample(3, 7)
    logits = torch.zeros((3, 7))
    loss = work.loss(dict.fromkeys(work.outputs, logits), wanted)["loss"]
    assert (
        set(wanted) == set(work.wanted)
        and float(loss) == pytest.approx(3 * math.log(7))
        and inputs["input_ids"].shape == (3, 7)
    )


@pytest.mark.parametrize("width", [8, 500])
def test_what_is_kept_of_a_window_does_not_grow_with_it(width):
    work, logits = asking(), torch.randn(3, width)
    kept = work.keep(dict.fromkeys(work.outputs, logits), {"ends": torch.arange(3 * width).reshape(3, width)})
    assert {name: (values.nbytes // 3, len(values)) for name, values in kept.items()} == {
        **{"span": (8, 3), "score": (4, 3), "none": (4, 3)}
    }


def test_a_task_of_the_users_own_may_be_like_it():
    source = """
from launcher import extend
class Mine(extend.QuestionAnsweringWork): ...
def work(task, reader): return Mine(task, reader)
"""
    task = CustomTask(file="my.py", source=source, like=QuestionAnswering())
    assert tuple(work_of(task, ENDS).metric_names) == tuple(QuestionAnswering.metrics)
