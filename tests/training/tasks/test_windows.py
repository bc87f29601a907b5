"""Windows: which tokens of a question and its context they hold, which characters these are, and where answers lie."""

import random

import numpy as np
import pytest
from asked import asking, row, tokenizer_of

from launcher import DataError
from launcher.training.data import Row
from launcher.training.data.spans import Span
from launcher.training.tasks.base import encoded
from launcher.training.tasks.windows import text_of

CHARACTERS = "天地玄黄宇宙洪荒abcXYZ é12,.。！🙂\u3000\t"


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
    assert list(asking(max_length=max_length, stride=stride).problems()) == [problem]  # told before a row is read
    assert (
        problem.what.startswith(what)
        and problem.do.startswith(do)
        and problem.where in ("task.stride", "embedding.max_length")
    )


def test_a_stride_that_just_fits_reaches_the_end():
    split = encoded(asking(stride=10), [row("天" * 50, "地" * 30, "地")]).split
    assert max(split.ragged("ends").values) == 30 and split.rows == 1 + 30 - 11
