"""The best answers out of logits, exact match and F1 by hand, and the best threshold for no answer."""

import itertools

import numpy as np
import pytest
import torch

from launcher.training.tasks.answer_scores import best_threshold, scored, segments
from launcher.training.tasks.n_best import best_spans


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


def test_of_equal_answers_the_first_is_the_best_however_long_the_padding():
    logits = torch.randint(0, 3, (3, 40), generator=torch.Generator().manual_seed(1)).float()
    allowed = torch.ones(3, 40, dtype=torch.bool)
    wide, padded = (torch.nn.functional.pad(each, (0, 60)) for each in (logits, allowed))
    found = [best_spans((one, one), may, 9, 20) for one, may in ((logits, allowed), (wide, padded))]
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][0][:, :1], best_spans((wide, wide), padded, 9, 1)[0])


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
