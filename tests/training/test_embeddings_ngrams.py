"""The bag of n-grams: hashing alike in numpy and torch, weights counted by hand, votes that padding cannot change."""

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from launcher.training.embeddings.ngram_bag import SCALE, NgramBag, first_of_each
from launcher.training.embeddings.ngram_counts import HASH_FACTOR, save_weights

BUCKETS = 1009


def bucket(*ids):
    hashed = ids[0]
    for following in ids[1:]:
        hashed = hashed * HASH_FACTOR + following
    return hashed % BUCKETS


@pytest.fixture
def weights(tmp_path):
    """Texts 2 3 4 | 2 3 2 3 | 5 of labels 1, 1, 0: `2`, `3` and `2 3` stand in two texts, all else in one."""
    ids = np.array([2, 3, 4, 2, 3, 2, 3, 5], dtype=np.int32)
    save_weights(ids, np.array([0, 3, 7, 8]), np.array([1, 1, 0]), 2, BUCKETS, 2, tmp_path)
    return load_file(tmp_path / "ngrams.safetensors")["weights"]


def test_weights_are_log_count_ratios_of_what_two_texts_hold(weights):
    assert weights.shape == (BUCKETS,) and weights.dtype == np.float32
    assert sorted(np.flatnonzero(weights)) == []  # all three tell the same: their ratios over one another are 1
    assert bucket(3, 2) != bucket(2, 3)


def test_an_ngram_of_one_label_weighs_more_than_one_of_both(tmp_path):
    ids = np.array([2, 3, 2, 3, 2, 4, 2, 4], dtype=np.int32)  # 2 in all; 3 in label 1, 4 in label 0
    save_weights(ids, np.array([0, 2, 4, 6, 8]), np.array([1, 1, 0, 0]), 1, BUCKETS, 2, tmp_path)
    told = load_file(tmp_path / "ngrams.safetensors")["weights"]
    assert sorted(np.flatnonzero(told)) == [3, 4]
    assert told[3] == pytest.approx(math.log((3 / 7) / (1 / 7)))
    assert told[4] == pytest.approx(told[3])


def test_the_votes_of_a_text_by_hand():
    bag = NgramBag(2, BUCKETS, 3, dropout=0.5).eval()
    generator = torch.Generator().manual_seed(0)
    bag.votes.data = torch.randn(BUCKETS, 3, generator=generator)
    bag.weights.copy_(torch.rand(BUCKETS, generator=generator))
    text = [7, 8, 7, 8]
    grams = [bucket(7), bucket(8), bucket(7, 8), bucket(8, 7)]
    assert len(set(grams)) == 4
    weight = bag.weights[grams]
    expected = SCALE * (weight[:, None] * bag.votes[grams]).sum(0) / weight.norm()
    ids = torch.tensor([[*text, 0, 0], [9, 0, 0, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]])
    told = bag(ids, mask)
    torch.testing.assert_close(told[0], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(told[1], SCALE * bag.votes[9], rtol=0, atol=1e-5)
    torch.testing.assert_close(bag(torch.tensor([text]), torch.ones(1, 4))[0], told[0], rtol=0, atol=1e-6)


def test_equal_neighbours_count_once_and_padding_never():
    places = torch.tensor([[0, 0, 0, 4, 4, 9]])
    counts = torch.tensor([[False, True, True, True, True, True]])
    assert first_of_each(places, counts).tolist() == [[False, True, False, True, False, True]]
