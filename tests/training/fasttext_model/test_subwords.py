"""N-grams of words and their hashes: the numbers that the official library has for them."""

import random

import numpy as np
import pytest

from launcher.training.fasttext.hashing import word_hashes
from launcher.training.fasttext.subwords import Subwords

WORDS = [
    "film",
    "films",
    "a",
    "é",
    "naïve",
    "好",
    "电影",
    "今天天气不好",
    "👍🏽",
    "𠮷野家",
    "",
    "</s>",
    "<",
    ">",
    "<>",
    "a b",
    "\0x",
]
ALPHABET = "abcdefghij<>éßж好电影天气👍𠮷\u0301"


def drawn(number: int) -> list[str]:
    """Words of many scripts, some of them long."""
    draw = random.Random(7)
    return ["".join(draw.choices(ALPHABET, k=draw.choice([1, 2, 3, 5, 8, 13, 40]))) for _ in range(number)]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text"
    path.write_text("__label__a film good 好 电影\n" * 3)
    return path


@pytest.mark.parametrize(
    ("shortest", "longest", "buckets"), [(3, 6, 2000), (1, 3, 97), (0, 2, 5), (2, 2, 1), (1, 1, 50), (6, 12, 999_983)]
)
def test_the_buckets_are_those_of_the_official_library_in_its_order(text, monkeypatch, shortest, longest, buckets):
    import fasttext

    monkeypatch.setattr("launcher.training.fasttext.subwords._BLOCK", 100)  # so that there are several blocks
    settings = {"minn": shortest, "maxn": longest, "bucket": buckets, "dim": 1, "epoch": 1, "thread": 1, "verbose": 0}
    official = fasttext.train_supervised(str(text), minCount=1, **settings)
    words = WORDS + drawn(500) + official.get_words()
    found = Subwords(shortest, longest, buckets).of(words)
    known = len(official.get_words())
    assert found.values.dtype == found.offsets.dtype == np.int64 and len(found.offsets) == len(words) + 1
    for number, word in enumerate(words):
        rows = official.get_subwords(word)[1]
        rows = rows[1:] if official.get_word_id(word) >= 0 else rows  # a known word's own row comes first
        assert (found.row(number) + known).tolist() == rows.tolist(), word


@pytest.mark.parametrize("none", [Subwords(0, 0, 10), Subwords(3, 6, 0), Subwords(5, 4, 10), Subwords(90, 99, 10)])
def test_a_model_without_subwords_has_none(none):
    found = none.of(["film", "好"])
    assert found.values.tolist() == [] and found.offsets.tolist() == [0, 0, 0]
    assert Subwords(3, 6, 9).of([]).offsets.tolist() == [0]


def test_the_bytes_of_a_word_that_is_no_text_are_kept():
    """A model may hold any bytes; one that continues a character belongs to the one before it, also to `<`."""
    tail = b"a" + b"\xbf" * 3000
    odd = [word.decode("utf-8", "surrogateescape") for word in (b"\x80a", tail)]
    found = Subwords(1, 2, 2**31 - 1).of(odd)
    pieces = [b"<\x80a", b"a", b"a>", b"<" + tail, tail, tail + b">"]
    assert found.offsets.tolist() == [0, 3, 6]
    assert found.values.tolist() == [by_hand(piece) % (2**31 - 1) for piece in pieces]


def test_hashes_of_words_have_a_sign():
    words = [*WORDS, *drawn(300)]
    hashes = word_hashes(words)
    assert hashes.dtype == np.int64 and hashes.min() < 0 < hashes.max()
    assert hashes.tolist() == [(by_hand(word.encode()) + 2**31) % 2**32 - 2**31 for word in words]
    assert word_hashes([]).tolist() == []


def by_hand(data: bytes) -> int:
    """FNV-1a of 32 bits over bytes with a sign, a byte at a time."""
    value = 2166136261
    for byte in data:
        value = (value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 % 2**32
    return value
