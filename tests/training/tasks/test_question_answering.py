"""Windows, answers out of logits, exact match and F1 by hand, and the threshold for no answer."""

import itertools
import math
import random

import numpy as np
import pytest
import torch
from at_work import work_of

from launcher import CustomTask, DataError, QuestionAnswering
from launcher.training.data import Row
from launcher.training.data.spans import Span
from launcher.training.tasks.answer_scores import best_threshold, scored, segments
from launcher.training.tasks.base import Kept, encoded
from launcher.training.tasks.n_best import best_spans
from launcher.training.tasks.windows import text_of

ENDS = ("start", "end")
CHARACTERS = "天地玄黄宇宙洪荒abcXYZ é12,.。！🙂\u3000\t"


def tokenizer_of(kind):
    """A small tokenizer of this kind that knows some of the characters: the others are pieces, bytes, or unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    if kind == "bytes":
        made = Tokenizer(
            models.BPE({c: n for n, c in enumerate(["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}, [])
        )
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<s>", bos_token="<s>")
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"天地玄黄宇宙abcxyz,.", *(f"##{c}" for c in "abcxyz1"), "ab"]
    made = Tokenizer(models.WordPiece({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def asking(tokenizer=None, max_length=24, **options):
    return work_of(QuestionAnswering(**options), ENDS, tokenizer or tokenizer_of("pieces"), max_length)


def row(question, context, *answers):
    """A question whose answers stand in the context."""
    spans = tuple(Span(context.index(text), context.index(text) + len(text), "answer") for text in answers)
    return Row(question, answers, "", context, spans)


@pytest.mark.parametrize("kind", ["pieces", "bytes"])
def test_windows_lead_back_to_the_characters_of_the_context(kind):
    generator, tokenizer = random.Random(kind), tokenizer_of(kind)
    work = asking(tokenizer, 40)
    rows = []
    for _ in range(60):
        context = "".join(generator.choice(CHARACTERS) for _ in range(generator.randint(1, 90))) + "天"
        start = generator.randrange(len(context))
        text = context[start : start + generator.randint(1, 6)].strip()
        rows.append(
            Row("天?", (text,), "", context, (Span(start, start + len(text), "answer"),))
            if text and context[start:].startswith(text)
            else row("天?", context)
        )
    split = encoded(work, rows).split
    assert split.rows > split.examples
    whole = tokenizer([each.pair for each in rows], add_special_tokens=False).encodings
    question = tokenizer("天?").input_ids
    for number, each in enumerate(rows):
        windows, covered = split.rows_of(number), set()
        assert text_of(split.ragged("context").row(windows[0])) == each.pair
        for window in windows:
            begins, ends = split.ragged("begins").row(window), split.ragged("ends").row(window)
            ids = split.ragged("input_ids").row(window)
            assert ids[: len(question)].tolist() == question and len(ids) <= 40
            for begin, end in zip(begins, ends, strict=True):
                covered.update(range(begin, end))
                assert each.pair[begin:end] == each.pair[begin:end].strip() and (end > begin or end == 0)
            first, last = split.array("start_positions")[window], split.array("end_positions")[window]
            if last:
                (span,) = each.spans
                inside = each.pair[begins[first] : ends[last]]
                assert each.label[0] in inside  # a token may hold more than the answer
                assert ends[first] > span.start and begins[last] < span.end
        offsets = [offset for offset in whole[number].offsets if each.pair[slice(*offset)].strip()]
        assert covered == {
            place
            for start, end in offsets
            for place in range(start, end)
            if not each.pair[place].isspace() or place in covered
        }
    assert (split.array("end_positions") > 0).sum() > 30


def test_an_answer_is_a_target_in_each_window_that_has_it_whole():
    context = "".join("天地玄黄"[n % 4] for n in range(20)) + "宇宙" + "天" * 20
    made = encoded(
        asking(max_length=16, stride=4),
        [row("地", context, "宇宙"), row("地", context), row("地", "天" * 30, "天" * 28)],
    )
    split = made.split
    starts, ends = split.array("start_positions"), split.array("end_positions")
    for window in split.rows_of(0):
        begins = split.ragged("begins").row(window)
        there = 20 in begins and 21 in begins
        assert (ends[window] > 0) == there
        assert not there or (begins[starts[window]], split.ragged("ends").row(window)[ends[window]]) == (20, 22)
    assert not ends[split.rows_of(1)].any() and not ends[split.rows_of(2)].any()
    assert made.lost == {"answers_in_no_window": 1, "answers_inside_tokens": 0}
    assert split.targets["loss"].tolist() == [1] * split.rows
    starting = [int(split.ragged("begins").row(window)[4]) for window in split.rows_of(0)]
    assert set(np.diff(starting)) == {16 - 4 - 4}  # the question and three special tokens, then the stride


def test_the_first_of_several_answers_that_is_there_counts():
    split = encoded(asking(), [row("地", "天地玄黄宇宙", "黄宇", "地玄")]).split
    assert split.ragged("begins").row(0)[split.array("start_positions")[0]] == 3


def test_an_answer_that_begins_inside_a_token_is_learnt_with_it_and_counted():
    made = encoded(asking(max_length=13), [row("天", "地 ab 玄" + "黄" * 9 + "地地b", "b"), row("天", "地 ab", "ab")])
    split = made.split
    assert made.lost == {"answers_in_no_window": 0, "answers_inside_tokens": 1}
    start, end = split.array("start_positions")[0], split.array("end_positions")[0]
    assert (split.ragged("begins").row(0)[start], split.ragged("ends").row(0)[end]) == (2, 4)


def test_a_long_question_is_cut_and_counted():
    made = encoded(asking(max_length=15), [row("天地玄黄宇宙天地", "玄黄", "黄"), row("天", "玄黄", "黄")])
    assert made.truncated.tolist() == [True, False]
    names = asking().tokens_of(made.split, 0)
    assert names == ["[CLS]", *"天地玄黄宇宙", "[SEP]", "玄", "黄", "[SEP]"]


@pytest.mark.parametrize(
    ("max_length", "stride", "what", "do"),
    [
        (24, 11, "windows cannot share 11 tokens of the context: they hold 11", "write a stride below 11"),
        (24, 99, "windows cannot share 99 tokens", "write a stride below 11"),
        (5, None, "the longest input has 5 tokens, which hold no question", "make it longer"),
    ],
)
def test_windows_that_would_not_get_on_are_refused(max_length, stride, what, do):
    with pytest.raises(DataError) as caught:
        encoded(asking(max_length=max_length, stride=stride), [row("天", "地" * 99, "地")])
    (problem,) = caught.value.problems
    assert (
        problem.what.startswith(what)
        and problem.do.startswith(do)
        and problem.where in ("task.stride", "embedding.max_length")
    )


def test_a_stride_that_just_fits_reaches_the_end():
    split = encoded(asking(stride=10), [row("天" * 50, "地" * 30, "地")]).split
    assert max(split.ragged("ends").values) == 30 and split.rows == 1 + 30 - 11


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


@pytest.mark.parametrize(("width", "longest", "count"), [(9, 4, 5), (9, 50, 30), (3, 1, 20), (1, 4, 2)])
def test_the_best_answers_are_those_that_trying_all_finds(width, longest, count):
    generator = torch.Generator().manual_seed(width)
    starts, ends = (torch.randn(4, width, generator=generator) for _ in range(2))
    allowed = torch.rand(4, width, generator=generator) < 0.7
    spans, scores = best_spans((starts, ends), allowed, longest, count)
    assert spans.shape == (4, count, 2) and scores.dtype == np.float32
    for number in range(4):
        tried = [
            (float(starts[number, i] + ends[number, j]), i, j)
            for i, j in itertools.combinations_with_replacement(range(width), 2)
            if j - i < longest and allowed[number, i] and allowed[number, j]
        ]
        best = sorted(tried, reverse=True)[:count]
        assert spans[number, : len(best)].tolist() == [[i, j] for _, i, j in best]
        assert scores[number, : len(best)] == pytest.approx([score for score, _, _ in best])
        assert (spans[number, len(best) :] == -1).all() and (scores[number, len(best) :] < -1e29).all()


SQUAD = [
    ("The solar power!", ["solar power"], 1, 1),
    ("solar", ["solar power", "the sun"], 0, 2 * 1 * 0.5 / 1.5),
    ("power of power", ["power power plant"], 0, 2 / 3),
    ("wind", ["solar"], 0, 0),
    ("", [], 1, 1),
    ("solar", [], 0, 0),
    ("", ["solar"], 0, 0),
    ("a", ["the"], 1, 1),
    ("U.S.", ["us"], 1, 1),
    ("theatre", ["the theatre"], 1, 1),
]
CMRC = [
    ("光荣和ω-force", ["光荣和ω-force"], 1, 1),
    ("《光荣》", ["光荣"], 1, 1),
    ("光荣公司", ["光荣"], 0, 2 * 0.5 * 1 / 1.5),
    ("光和荣", ["光荣"], 0, 2 * (1 / 3) * 0.5 / (1 / 3 + 0.5)),
    ("1998年", ["1998 年 5 月"], 0, 2 * 1 * 0.5 / 1.5),
    ("Hello world", ["hello World"], 1, 1),
    ("索尼", ["光荣", "索尼"], 1, 1),
    ("索尼", ["光荣"], 0, 0),
    ("，", ["。"], 1, 0),
    ("", ["光荣"], 0, 0),
]


@pytest.mark.parametrize(("answer", "right", "exact", "f1"), SQUAD)
def test_squads_scores_are_those_that_a_hand_finds(answer, right, exact, f1):
    assert scored(answer, right, "squad") == pytest.approx((exact, f1))


@pytest.mark.parametrize(("answer", "right", "exact", "f1"), CMRC)
def test_cmrcs_scores_are_those_that_a_hand_finds(answer, right, exact, f1):
    assert scored(answer, right, "cmrc") == pytest.approx((exact, f1))


def test_cmrc_cuts_chinese_into_characters_and_the_rest_into_words():
    assert segments("在1998年，don't stop-ω」好") == ["在", "1998", "年", "do", "n't", "stopω", "好"]


def test_the_best_threshold_is_the_one_that_trying_all_finds():
    generator = np.random.default_rng(5)
    for size in (1, 2, 7, 30):
        margins = generator.integers(-3, 4, size).astype(np.float32)
        answered, silent = generator.random(size), generator.integers(0, 2, size).astype(float)
        threshold, mean = best_threshold(margins, answered, silent)
        tried = [np.where(margins > one, silent, answered).mean() for one in np.arange(-4, 5, 0.25)]
        assert mean == pytest.approx(max(tried)) == np.where(margins > threshold, silent, answered).mean()


def kept_of(split, *windows):
    """What was kept of windows: the characters of the best answer (None: no token), its score, and that of none."""
    spans = []
    for number, (place, _, _) in enumerate(windows):
        begins, ends = split.ragged("begins").row(number).tolist(), split.ragged("ends").row(number).tolist()
        spans.append(
            [-1, -1]
            if place is None
            else [max(i for i, b in enumerate(begins) if b == place[0] and ends[i]), ends.index(place[1])]
        )
    score, none = (np.array([each[at] for each in windows], np.float32) for at in (1, 2))
    return Kept({"span": np.array(spans, np.int32), "score": score, "none": none})


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


def told(work, text, **logits):
    """The answer to one text from logits by character of the context; all else is unlikely."""
    made = encoded(work, [work.example(text)])
    split, outputs = made.split, {}
    for name in ("start", "end"):
        values = np.full((split.rows, int(split.cost.max())), -9.0, dtype=np.float32)
        values[:, 0] = logits.get("none", -9.0)
        for window in range(split.rows):
            for token, (begin, end) in enumerate(
                zip(split.ragged("begins").row(window), split.ragged("ends").row(window), strict=True)
            ):
                place = begin if name == "start" else end
                if end and place in logits[name]:
                    values[window, token] = logits[name][place]
        outputs[f"{name}_logits"] = torch.from_numpy(values)
    wanted = {
        name: torch.from_numpy(values) for name, values in work.collate(split, np.arange(split.rows), None).items()
    }
    values = {**work.keep(outputs, wanted), **work.detail(outputs, wanted)}
    return work.tell(text, split, np.arange(split.rows), Kept(values, values, np.arange(split.rows)))


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
