"""The bag of n-grams: known ones found again, weights counted by hand, votes that padding cannot change."""

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from launcher.errors import DataError
from launcher.training.fasttext.hashing import word_hashes
from launcher.training.sources.static.ngram_bag import SCALE, NgramVotes
from launcher.training.sources.static.ngrams import FACTOR, Numbering, save_weights


def key(*ids):
    """Two's complement of 64 bits, as numpy and torch wrap around."""
    number = ids[0]
    for following in ids[1:]:
        number = (number * FACTOR + following) % (1 << 64)
    return number - (1 << 64) if number >= 1 << 63 else number


def saved(folder, texts, labels, longest, fewest=2, numbering=None):
    ids = np.array([token for text in texts for token in text], dtype=np.int32)
    offsets = np.cumsum([0, *(len(text) for text in texts)])
    save_weights(ids, offsets, np.array(labels), numbering or Numbering(longest), fewest, folder)
    return load_file(folder / "ngrams.safetensors")


def test_known_are_the_ngrams_of_two_texts_sorted(tmp_path):
    told = saved(tmp_path, [[2, 3, 4], [2, 3, 2, 3], [5]], [1, 1, 0], 2)
    assert told["keys"].tolist() == sorted([2, 3, key(2, 3)])
    assert told["keys"].dtype == np.int64 and told["weights"].dtype == np.float32
    assert told["weights"].tolist() == [0, 0, 0]  # all three tell the same: their ratios over one another are 1


def test_an_ngram_never_reaches_over_the_end_of_a_text(tmp_path):
    told = saved(tmp_path, [[2, 3], [4, 2], [3, 4], [2, 3]], [1, 0, 1, 0], 3, fewest=1)
    assert set(told["keys"].tolist()) == {2, 3, 4, key(2, 3), key(4, 2), key(3, 4)}


def test_an_ngram_of_one_label_weighs_more_than_one_of_both(tmp_path):
    told = saved(tmp_path, [[2, 3], [2, 3], [2, 4], [2, 4]], [1, 1, 0, 0], 1)
    assert told["keys"].tolist() == [2, 3, 4]
    assert told["weights"][0] == 0
    # every text holds one n-gram that tells, so the mean length of their vectors of weights is that n-gram's ratio
    assert told["weights"][1:].tolist() == pytest.approx([1, 1])


def test_weights_are_measured_by_the_mean_length_of_a_text(tmp_path):
    told = saved(tmp_path, [[3, 4], [3, 4], [5], [5], [2]], [1, 1, 0, 0, 0], 1, fewest=1)
    assert told["keys"].tolist() == [2, 3, 4, 5]
    # counts plus one: of texts of label 1 over their sum 8, of texts of label 0 over 7
    rare, ours, theirs = math.log((2 / 7) / (1 / 8)), math.log((3 / 8) / (1 / 7)), math.log((3 / 7) / (1 / 8))
    lengths = [2**0.5 * ours, 2**0.5 * ours, theirs, theirs, rare]
    expected = np.array([rare, ours, ours, theirs]) / np.mean(lengths)
    np.testing.assert_allclose(told["weights"], expected, rtol=1e-6)


def test_the_votes_of_a_text_by_hand():
    grams = [(7,), (8,), (9,), (7, 8), (8, 7)]
    bag = NgramVotes(2, len(grams), 3, dropout=0.5).eval()
    order = sorted(grams, key=lambda gram: key(*gram))
    bag.keys.copy_(torch.tensor([key(*gram) for gram in order]))
    generator = torch.Generator().manual_seed(0)
    bag.votes.data = torch.randn(len(grams), 3, generator=generator)
    bag.weights.copy_(torch.rand(len(grams), generator=generator))
    places = [order.index(gram) for gram in [(7,), (8,), (7, 8), (8, 7)]]
    weight = bag.weights[places]
    expected = SCALE * (weight[:, None] * bag.votes[places]).sum(0)
    # 7 8 and 8 stand twice and count once; 6 and what it begins are not known
    ids = torch.tensor([[7, 8, 7, 8, 0, 0], [9, 0, 0, 0, 0, 0], [7, 8, 7, 8, 6, 0], [6, 6, 0, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]])
    told = bag(ids, mask)
    torch.testing.assert_close(told[0], expected, rtol=0, atol=1e-5)
    nine = order.index((9,))
    torch.testing.assert_close(told[1], SCALE * bag.weights[nine] * bag.votes[nine], rtol=0, atol=1e-5)
    torch.testing.assert_close(told[2], told[0], rtol=0, atol=0)
    assert told[3].tolist() == [0, 0, 0]
    alone = bag(torch.tensor([[7, 8, 7, 8]]), torch.ones(1, 4))[0]
    torch.testing.assert_close(alone, told[0], rtol=0, atol=1e-6)


WORDS = ["the", "film", "was", "好", "电影", "É", "</s>"]


@pytest.mark.parametrize(("longest", "buckets"), [(2, 1000), (3, 1000), (4, 999_983)])
def test_hashed_ngrams_have_the_numbers_of_the_official_library(tmp_path, longest, buckets):
    """Its vector of a text is the mean of the rows of words and n-grams: rows that are their own number tell which."""
    import fasttext

    (tmp_path / "text").write_text("__label__a " + " ".join(WORDS[:-1]) + "\n")
    settings = {"dim": 2, "wordNgrams": longest, "bucket": buckets, "minCount": 1, "epoch": 1, "verbose": 0}
    model = fasttext.train_supervised(str(tmp_path / "text"), **settings, thread=1)
    place = {word: number for number, word in enumerate(model.get_words())}
    rows = np.zeros((len(place) + buckets, 2), dtype=np.float32)
    rows[:, 0], rows[:, 1] = np.random.default_rng(0).normal(size=(2, len(rows)))
    model.set_matrices(rows, model.get_output_matrix())
    text = ["好", "电影", "the", "É", "the", "film"]
    numbering = Numbering(longest, word_hashes(sorted(place, key=place.get)), buckets)
    # the library reads the end of the line as one more word
    ids = np.array([place[word] for word in [*text, "</s>"]], dtype=np.int64)
    numbers = np.concatenate(list(numbering.numbers(ids)))
    assert len(numbers) == sum(len(ids) - n for n in range(longest)) and numbers.max() < len(rows)
    np.testing.assert_allclose(model.get_sentence_vector(" ".join(text)), rows[numbers].mean(0), atol=1e-5)
    # torch computes the same numbers as numpy
    tensors = Numbering(longest, torch.from_numpy(numbering.hashes), buckets).numbers(torch.from_numpy(ids)[None])
    assert torch.cat(list(tensors), 1)[0].tolist() == numbers.tolist()


def test_a_hashed_bag_votes_by_buckets(tmp_path):
    """With one bucket all n-grams of two tokens are one and the same."""
    numbering = Numbering(2, np.arange(10, 16), 1)
    told = saved(tmp_path, [[2, 3, 4], [4, 3], [3, 2]], [1, 0, 1], 2, 2, numbering)
    assert told["keys"].tolist() == [2, 3, 4, 6] and told["hashes"].tolist() == list(range(10, 16))
    bag = NgramVotes(2, 4, 2, dropout=0.0, vocabulary=6, buckets=1).eval()
    for name, buffer in bag.named_buffers():
        buffer.copy_(torch.from_numpy(told[name]) if name != "weights" else torch.ones(4))
    bag.votes.data = torch.tensor([[0.0, 0], [0, 0], [0, 0], [1, 2]])
    votes = bag(torch.tensor([[2, 3], [5, 5], [3, 0]]), torch.tensor([[1, 1], [1, 1], [1, 0]]))
    expected = torch.tensor([[1.0, 2]]) * SCALE
    torch.testing.assert_close(votes, torch.cat([expected, expected, expected * 0]), rtol=0, atol=1e-6)


def test_a_bag_without_any_ngram_is_refused(tmp_path):
    ids, offsets, labels = np.arange(8), np.array([0, 4, 8]), np.array([0, 1])
    with pytest.raises(DataError, match=r"no n-gram stands in 2 texts of the training split") as refused:
        save_weights(ids, offsets, labels, Numbering(2), 2, tmp_path)
    assert "lower minimum_count of NgramBag" in str(refused.value)
