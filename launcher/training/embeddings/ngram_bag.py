"""A bag of hashed n-grams that votes on a whole text, beside the encoder of its vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from launcher.training.embeddings.ngram_counts import HASH_FACTOR

SCALE = 5.0
"""The table starts at zero and its steps are as small as all others'; this lets it keep up."""


class NgramBag(nn.Module):
    """Each n-gram of up to `longest` tokens has a vote for every label (Joulin et al. 2016, arXiv 1607.01759).

    An n-gram counts once a text, weighted by how much it tells of the label in the training split (`weights`,
    see `ngram_counts`). A linear model beside the encoder: what words say by themselves need not pass through the
    vectors.
    """

    weights: Tensor

    def __init__(self, longest: int, buckets: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.longest, self.buckets = longest, buckets
        self.votes = nn.Parameter(torch.zeros(buckets, labels))
        self.register_buffer("weights", torch.ones(buckets))
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """[rows, tokens] to [rows, labels]."""
        hashed, grams, real = input_ids, [input_ids], [mask]
        for length in range(2, self.longest + 1):
            hashed = hashed[:, :-1] * HASH_FACTOR + input_ids[:, length - 1 :]
            grams.append(hashed)
            real.append(mask[:, length - 1 :])
        places = torch.cat(grams, dim=1).remainder(self.buckets)
        places, order = places.masked_fill(torch.cat(real, dim=1) == 0, 0).sort(dim=1)
        counts = first_of_each(places, torch.cat(real, dim=1).bool().gather(1, order))
        weights = nn.functional.normalize(counts * self.weights[places], dim=1)
        weights = self.dropout(weights).to(self.votes.dtype)
        return SCALE * nn.functional.embedding_bag(places, self.votes, mode="sum", per_sample_weights=weights)


def first_of_each(places: Tensor, counts: Tensor) -> Tensor:
    """Of equal neighbours in the sorted `places` [rows, n-grams] only the first that `counts`."""
    seen = counts.cumsum(1)
    before = nn.functional.pad(seen, (1, 0))[:, :-1]
    starts = nn.functional.pad(places[:, 1:] != places[:, :-1], (1, 0), value=True)
    at_start = torch.where(starts, before, 0).cummax(1).values
    return counts & (before == at_start)
