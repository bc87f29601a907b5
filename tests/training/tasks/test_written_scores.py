"""BLEU, chrF and ROUGE of given texts: as the libraries compute them, with texts cut as their language needs."""

from __future__ import annotations

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu, corpus_chrf

from launcher.training.tasks.written_scores import bleu_cut, rouge_cut, summary_scores, translation_scores

ENGLISH = ["The cat sat on the mat.", "A dog isn't here, is it?"]
WRITTEN = ["The cat sat on a mat.", "A dog is not here, is it?"]
CHINESE, SAID = ["我喜欢吃苹果和香蕉。", "今天天气很好。"], ["我喜欢吃苹果。", "今天天气不好。"]


def alone(texts):
    return [(text,) for text in texts]


def test_english_is_scored_as_sacrebleu_does_by_default():
    scores = translation_scores(WRITTEN, alone(ENGLISH), None)
    assert scores["bleu"] == corpus_bleu(WRITTEN, [ENGLISH]).score
    assert scores["chrf"] == corpus_chrf(WRITTEN, [ENGLISH]).score
    assert "tok:13a" in scores["bleu_signature"] and 30 < scores["bleu"] < 70


def test_chinese_is_cut_into_characters():
    for language in (None, "zh", "zh_CN", "zho_Hans"):
        scores = translation_scores(SAID, alone(CHINESE), language)
        assert scores["bleu"] == corpus_bleu(SAID, [CHINESE], tokenize="zh").score > 30
        assert "tok:zh" in scores["bleu_signature"]
    assert corpus_bleu(SAID, [CHINESE]).score < 5  # what it would be without


@pytest.mark.parametrize(
    ("language", "text", "cut"),
    [
        (None, "これはペンです", ("ja-mecab", "char")),
        ("ja_XX", "anything", ("ja-mecab", "char")),
        (None, "이것은 펜입니다 그리고", ("ko-mecab", "char")),
        (None, "นี่คือปากกา", ("char",)),
        ("de_DE", "Das ist schön", ("13a",)),
        ("Chinese", "我们", ("zh",)),
        ("cn", "我们", ("zh",)),
        ("yue_Hant", "abc", ("zh",)),
        ("khm_Khmr", "abc", ("char",)),
        (None, "Das ist schön", ("13a",)),
    ],
)
def test_how_bleu_cuts_follows_the_language_and_what_is_installed(language, text, cut):
    assert bleu_cut(language, [(text,)]) in cut


def test_of_several_references_any_is_right_and_a_text_may_have_fewer():
    right = [("x y", "The cat sat on a mat."), ("A dog is not here, is it?",)]
    assert translation_scores(WRITTEN, right, None)["bleu"] == pytest.approx(100)
    assert summary_scores(WRITTEN, right)["rougeL"] == 1.0


def test_rouge_of_english_is_the_librarys_own():
    names = ["rouge1", "rouge2", "rougeL"]
    theirs = [RougeScorer(names).score(right, said) for right, said in zip(ENGLISH, WRITTEN, strict=True)]
    scores = summary_scores(WRITTEN, alone(ENGLISH))
    assert scores == {n: sum(t[n].fmeasure for t in theirs) / 2 for n in names} | {"rouge_cut": "rouge-score"}


def test_rouge_of_chinese_is_by_character_and_of_other_scripts_by_word():
    scores = summary_scores(["我们 很好"], [("我们不好",)])
    assert scores["rouge1"] == pytest.approx(0.75) and scores["rouge2"] == pytest.approx(1 / 3)
    assert scores["rougeL"] == pytest.approx(0.75) and scores["rouge_cut"] == "characters"
    assert RougeScorer(["rouge1"]).score("我们不好", "我们不好")["rouge1"].fmeasure == 0.0  # what it would be without
    russian = summary_scores(["Мама мыла раму"], [("мама мыла пол",)])
    assert russian["rouge1"] == pytest.approx(2 / 3) and russian["rouge_cut"] == "words"
    assert rouge_cut([("She visited the café in the old town and met many people there",)]) == "words"
    assert rouge_cut(alone(ENGLISH)) == "rouge-score"


def test_nothing_written_is_worth_nothing():
    assert translation_scores(["", ""], alone(ENGLISH), None)["bleu"] == 0.0
    assert summary_scores(["", ""], alone(CHINESE))["rouge1"] == 0.0
    assert translation_scores([], [], None)["bleu"] is None and summary_scores([], [])["rouge1"] is None
