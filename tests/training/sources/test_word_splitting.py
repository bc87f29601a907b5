"""How texts are cut: words from punctuation or as jieba finds them, at their place in the raw text; stop words."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from at_work import work_of

from launcher.errors import DataError
from launcher.recipe.source import FastText, RandomVectors, tokens_of
from launcher.recipe.task import TextClassification, TokenClassification
from launcher.training.data.word_splitting import pieces
from launcher.training.sources import build_tokenizer, load_tokenizer, told_of
from launcher.training.tasks.base import Kept

TEXT = TextClassification()
TEXTS = ["今天 天气很好，我来到北京清华大学。", "北京的天气 is OK"]


def tokenizer(folder, texts=TEXTS, task=TEXT, **values):
    build_tokenizer(RandomVectors(**values), task, texts, folder)
    return load_tokenizer(folder)


def test_the_words_are_those_of_jieba_and_lie_where_they_stand_in_the_text(tmp_path):
    import jieba

    found = tokenizer(tmp_path, tokens="jieba", lowercase=True)
    for text in TEXTS:
        encoded = found(text, return_offsets_mapping=True)
        pieces = [text[start:end] for start, end in encoded["offset_mapping"]]
        assert pieces == [word for word in jieba.lcut(text) if not word.isspace()]
        assert found.unk_token_id not in encoded["input_ids"]
    assert {"天气", "清华大学", "ok"} <= set(found.get_vocab())
    batch = found(["天气OK", "", "清华大学 我们 知道"], padding=True)
    ids = found.get_vocab()
    assert batch["input_ids"] == [[ids["天气"], ids["ok"], 0], [0, 0, 0], [ids["清华大学"], 1, 1]]


def test_a_tokenizer_that_needs_jieba_is_not_read_without_it(tmp_path):
    from transformers import AutoTokenizer

    tokenizer(tmp_path, tokens="jieba")
    with pytest.raises(ValueError, match="custom code"):
        AutoTokenizer.from_pretrained(tmp_path / "tokenizer", trust_remote_code=False)
    with pytest.raises(OSError, match="read_it_with_launcher_predict"):
        AutoTokenizer.from_pretrained(tmp_path / "tokenizer", trust_remote_code=True)
    tokenizer(tmp_path, tokens="characters")
    AutoTokenizer.from_pretrained(tmp_path / "tokenizer", trust_remote_code=False)


def test_jieba_leaves_no_file_and_says_nothing(tmp_path):
    code = (
        "from launcher.training.sources import jieba_words\n"
        "assert list(jieba_words.words('我来到 北京')) == [('我', 0), ('来到', 1), ('北京', 4)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


LABELS = ["B-P", "I-P", "O"]


def entities_of(work, text, tags):
    """What is told of a text whose words the model tags so, by the road that `predict` takes."""
    split = work.encode([work.example(text)]).split
    rows = np.array([0])
    batch = work.collate(split, rows, None)
    logits = torch.zeros(*batch["input_ids"].shape, len(LABELS))
    places = np.flatnonzero(batch["labels"][0] >= 0)
    logits[0, places, [LABELS.index(tag) for tag in tags]] = 5.0
    wanted = {"labels": torch.from_numpy(batch["labels"])}
    values = {**work.keep({"logits": logits}, wanted), **work.detail({"logits": logits}, wanted)}
    return work.tell(text, split, rows, Kept(values, values, rows))


def test_entities_of_a_text_that_jieba_cuts_lie_where_they_stand(tmp_path):
    task = TokenClassification(tokens="jieba")
    found = tokenizer(tmp_path, [("我", "来到", "北京", "清华大学", "x y")], task)
    assert "x y" not in found.get_vocab() and "清华大学" in found.get_vocab()  # rows are cut already
    work, text = work_of(task, LABELS, found), "我 来到北京清华大学。"
    assert work.example(text).text == ("我", "来到", "北京", "清华大学", "。")
    (entity,) = entities_of(work, text, ["O", "O", "B-P", "I-P", "O"])["entities"]
    assert (entity["entity"], entity["text"], entity["start"], entity["end"]) == ("P", "北京清华大学", 4, 10)


STOPPED = {
    "whitespace": (["the", "a.*"], ["The the film a.* a.b", "theatre"], ["The", "a.b", "film", "theatre"]),
    "characters": (["的", "，"], ["我的，书"], ["书", "我"]),
    "jieba": (["的", "，"], ["北京的天气，的确"], ["北京", "天气", "的确"]),
}


@pytest.mark.parametrize("tokens", STOPPED)
def test_stop_words_are_left_out_whole_and_counted(tmp_path, tokens):
    stopped, texts, left = STOPPED[tokens]
    found = tokenizer(tmp_path, texts, tokens=tokens, stop_words=tuple(stopped))
    assert sorted(set(found.get_vocab()) - {"[PAD]", "[UNK]"}) == left
    encoded = found(texts[0], return_offsets_mapping=True)
    assert [texts[0][start:end] for start, end in encoded["offset_mapping"]] == [
        token
        for token in SimpleNamespace(whitespace=["The", "film", "a.b"], characters=["我", "书"], jieba=left).__dict__[
            tokens
        ]
    ]
    assert found.unk_token_id not in encoded["input_ids"]
    assert told_of(tmp_path) == {"stop_words_left_out": 2}


def test_stop_words_from_a_file_follow_the_lower_casing(tmp_path):
    (tmp_path / "stop.txt").write_text("The\n\n was \n")
    values = {"stop_words": str(tmp_path / "stop.txt"), "lowercase": True}
    found = tokenizer(tmp_path, ["THE film Was"], **values)
    assert set(found.get_vocab()) == {"[PAD]", "[UNK]", "film"} and told_of(tmp_path) == {"stop_words_left_out": 2}
    (tmp_path / "stop.txt").write_text("\n \n")
    with pytest.raises(DataError, match="no stop word"):
        tokenizer(tmp_path, ["a"], **values)


CUT = {
    "Don't stop, it's O'Neill's so-called 3.5% U.S. fund...": (
        "Do n't stop , it 's O'Neill 's so-called 3.5 % U.S. fund ..."
    ),
    "I'm sure they'll say 'we can’t' at 10:30 -- (1,000 times)!": (
        "I 'm sure they 'll say ' we ca n’t ' at 10:30 -- ( 1,000 times ) !"
    ),
    "red,green end.Next x@y.com dogs' isn'ts": "red , green end . Next x @ y . com dogs ' isn'ts",
    "今天，天气好。 cafe\u0301 👩\u200d👩\u200d👧!": "今天 ， 天气好 。 cafe\u0301 👩\u200d👩\u200d👧 !",
}


def test_words_are_cut_from_their_punctuation_and_lie_where_they_stand(tmp_path):
    found = tokenizer(tmp_path, list(CUT), tokens="words")
    for text, wanted in CUT.items():
        encoded = found(text, return_offsets_mapping=True)
        assert [text[start:end] for start, end in encoded["offset_mapping"]] == wanted.split()
        assert found.unk_token_id not in encoded["input_ids"]
    by_space = tokenizer(tmp_path, list(CUT), tokens="whitespace")
    assert {"stop,", "(1,000", "今天，天气好。"} <= set(by_space.get_vocab())


def test_fasttext_parts_words_by_white_space_and_other_sources_do_not():
    assert tokens_of(FastText(), TEXT) == "whitespace" and tokens_of(FastText(tokens="words"), TEXT) == "words"
    assert tokens_of(RandomVectors(), TEXT) == "words"
    assert tokens_of(FastText(), TokenClassification()) == "words"


@pytest.mark.parametrize(
    ("tokens", "name"),
    [("words", "Marie O'Brien"), ("whitespace", "(Marie O'Brien)."), ("characters", "Marie O'Brien")],
)
def test_entities_of_a_raw_text_lie_where_they_stand(tmp_path, tokens, name):
    task, text = TokenClassification(tokens=tokens), "“Hi,” said 玛丽's (Marie O'Brien)."
    row = ("U.S.-based", "Marie", "isn't")
    found = tokenizer(tmp_path, [row], task)
    if tokens != "characters":
        assert set(row) <= set(found.get_vocab())  # the words of a row are what they are
        assert len(found([list(row)], is_split_into_words=True)["input_ids"][0]) == 3
    work, words = work_of(task, LABELS, found), pieces(text, tokens)
    assert all(text[start : start + len(word)] == word for word, start in words)
    begin = text.index(name)
    inside = [begin <= start < begin + len(name) for _, start in words]
    tags = ["O" if not within else "I-P" if inside[place - 1] else "B-P" for place, within in enumerate(inside)]
    (entity,) = entities_of(work, text, tags)["entities"]
    assert (entity["entity"], entity["text"], entity["start"]) == ("P", name, begin)
