"""How texts are cut: words as jieba finds them, at their place in the raw text, and stop words that are left out."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from launcher.errors import DataError
from launcher.spec.embedding import RandomVectors
from launcher.spec.task import TextClassification, TokenClassification
from launcher.training.embeddings import build_tokenizer, load_tokenizer, told_of
from launcher.training.tasks import work_for

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


def test_jieba_leaves_no_file_and_says_nothing(tmp_path):
    code = (
        "from launcher.training.embeddings import jieba_words\n"
        "assert list(jieba_words.words('我来到 北京')) == [('我', 0), ('来到', 1), ('北京', 4)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_entities_of_a_text_that_jieba_cuts_lie_where_they_stand(tmp_path):
    task = TokenClassification(tokens="jieba")
    found = tokenizer(tmp_path, [("我", "来到", "北京", "清华大学", "x y")], task)
    assert "x y" not in found.get_vocab() and "清华大学" in found.get_vocab()  # rows are cut already
    work, text, labels = work_for(task), "我 来到北京清华大学。", ["B-ORG", "I-ORG", "O"]
    (encoded,) = work.encode(found, [text], 256)
    assert [word for word, _ in encoded.words] == ["我", "来到", "北京", "清华大学", "。"]
    tags = ["O", "O", "B-ORG", "I-ORG", "O"]
    logits = np.array([[5.0 if label == tag else 0.0 for label in labels] for tag in tags])
    (entity,) = work.decode(found, text, logits, labels, encoded)["entities"]
    assert (entity["entity"], entity["text"], entity["start"], entity["end"]) == ("ORG", "北京清华大学", 4, 10)


STOPPED = {
    "words": (["the", "a.*"], ["The the film a.* a.b", "theatre"], ["The", "a.b", "film", "theatre"]),
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
        for token in SimpleNamespace(words=["The", "film", "a.b"], characters=["我", "书"], jieba=left).__dict__[tokens]
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
