"""A bag of n-grams that votes on a whole text, beside the encoder of its vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from launcher.recipe.beside import NgramBag
from launcher.training.fasttext.hashing import word_hashes
from launcher.training.sources.static.ngrams import Numbering
from launcher.training.sources.static.part import Part

SCALE = 5.0
"""The table starts at zero and its steps are as small as all others'; this lets it keep up."""


class NgramVotes(Part):
    """Each known n-gram of up to `longest` tokens has a vote for every label (Joulin et al. 2016, arXiv 1607.01759).

    An n-gram counts once a text, weighted by how much it tells of the label in the training split (`weights`,
    see `ngram_counts`); `keys` are their numbers, sorted. Texts are not brought to one length: one that says
    a thing in many ways says it more surely. A linear model beside the encoder: what words say by themselves need not
    pass through the vectors.
    """

    name = "ngrams"
    adds_to = "logits"
    keys: Tensor
    weights: Tensor
    hashes: Tensor

    def __init__(
        self, longest: int, known: int, labels: int, dropout: float, vocabulary: int = 0, buckets: int | None = None
    ) -> None:
        """`buckets`: n-grams of several tokens share votes, by the hashes of a vocabulary of this size."""
        super().__init__()
        self.longest, self.buckets = longest, buckets
        self.votes = nn.Parameter(torch.zeros(max(1, known), labels))
        self.register_buffer("keys", torch.arange(max(1, known)))
        self.register_buffer("weights", torch.zeros(max(1, known)))
        if buckets is not None:
            self.register_buffer("hashes", torch.zeros(vocabulary, dtype=torch.int64))
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def configured(cls, noun: NgramBag, known: Mapping[str, Tensor]) -> dict[str, Any]:
        """The names are those of the first saved models."""
        return {"ngrams": noun.longest, "known_ngrams": len(known["keys"]), "ngram_buckets": noun.buckets}

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self | None:
        """A single token's n-gram is no bag."""
        if config.ngrams < 2:
            return None
        labels = cast("int", config.num_labels)  # a configuration that is whole has labels
        shape = (config.ngrams, config.known_ngrams, labels, config.dropout)
        return cls(*shape, config.vocab_size, config.ngram_buckets)

    def learn(self, tokens: list[str]) -> None:
        """Their hashes, by which n-grams find their bucket."""
        if self.buckets is not None:
            self.hashes = torch.cat([self.hashes, torch.from_numpy(word_hashes(tokens)).to(self.hashes.device)])

    def forward(self, input_ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """[rows, tokens] to [rows, labels]."""
        numbering = Numbering(self.longest, None if self.buckets is None else self.hashes, self.buckets)
        keys = list(numbering.numbers(input_ids))
        real = [mask[:, shorter:].bool() for shorter in range(len(keys))]
        found = torch.cat(keys, dim=1)
        places = torch.searchsorted(self.keys, found).clamp(max=len(self.keys) - 1)
        known = torch.cat(real, dim=1) & (self.keys[places] == found)
        # unknown ones gather in front, where they never count
        places = places.masked_fill(~known, -1).sort(dim=1).values
        first = nn.functional.pad(places[:, 1:] != places[:, :-1], (1, 0), value=True) & (places >= 0)
        places = places.clamp(min=0)
        weights = self.dropout(first * self.weights[places]).to(self.votes.dtype)
        return SCALE * nn.functional.embedding_bag(places, self.votes, mode="sum", per_sample_weights=weights)
