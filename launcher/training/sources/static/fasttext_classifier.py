"""fastText's classifier as a `PreTrainedModel`: the mean of many rows of one table, and a linear layer without bias.

    input_ids [rows, tokens] -> rows of words, subwords and n-grams of words -> their mean -> dropout -> logits

Joulin et al. 2016 (arXiv 1607.01759), as the official library computes it (`FastText::predict`): all rows count alike,
so that a long word, which has many subwords, counts for more than a short one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from launcher.training.fasttext.hashing import word_hashes
from launcher.training.sources.static.ngrams import Numbering
from launcher.training.sources.static.static_model import StaticVectorsConfig, StaticVectorsForSequenceClassification
from launcher.training.sources.static.subword_table import SubwordTable


class FastTextClassifierConfig(StaticVectorsConfig):
    """`word_ngrams`: words of the longest n-gram; `buckets`: into which a hash puts them."""

    model_type = "fasttext_classifier"

    def __init__(self, word_ngrams: int = 1, buckets: int = 1, dropout: float = 0.0, **kwargs: Any) -> None:
        self.word_ngrams = word_ngrams
        self.buckets = buckets
        super().__init__(dropout=dropout, **kwargs)


class FastTextClassifierModel(StaticVectorsForSequenceClassification):
    """`hashes`, int64 [tokens], are those of the tokens' words, by which n-grams find their rows."""

    config_class = FastTextClassifierConfig
    config: FastTextClassifierConfig
    hashes: Tensor

    def __init__(self, config: FastTextClassifierConfig) -> None:
        super().__init__(config)
        self.encoder = nn.Identity()
        self.classifier = nn.Linear(config.dimension, self.num_labels, bias=False)
        self.register_buffer("hashes", torch.zeros(config.vocab_size, dtype=torch.int64))

    @property
    def new_modules(self) -> list[str]:
        """What no source gives: all of it trains."""
        return ["embeddings", "classifier"]

    def start(self) -> None:
        """As the official library: rows drawn evenly within 1 / dimension of zero, and the linear layer at zero."""
        assert isinstance(self.embeddings, SubwordTable)
        with torch.no_grad():
            bound = 1 / self.config.dimension
            self.embeddings.rows.weight.uniform_(-bound, bound)[0].zero_()
            self.classifier.weight.zero_()

    def learn(self, tokens: list[str]) -> None:
        """See the class above."""
        super().learn(tokens)
        self.take_hashes(tokens)

    def take_hashes(self, tokens: list[str], first: int | None = None) -> None:
        """Know the hashes of these tokens, whose numbers begin at `first`; None: behind all others."""
        new = torch.from_numpy(word_hashes(tokens)).to(self.hashes.device)
        self.hashes = torch.cat([self.hashes if first is None else self.hashes[:first], new])

    def compute_logits(
        self, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """[rows, tokens] to [rows, labels]."""
        mask = self.mask_of(input_ids, attention_mask).bool()
        table = self.embeddings
        assert isinstance(table, SubwordTable)
        sums, counts = table.sums(input_ids.masked_fill(~mask, self.config.pad_token_id).reshape(-1))
        total, count = sums.view(*input_ids.shape, -1).sum(1), counts.view(input_ids.shape).sum(1)
        numbering = Numbering(self.config.word_ngrams, self.hashes, self.config.buckets)
        for shorter, numbers in enumerate(numbering.numbers(input_ids)):
            if shorter:
                real = mask[:, shorter:]
                rows = table.row_of(numbers - len(self.hashes)).masked_fill(~real, 0)
                total, count = total + table.rows(rows).sum(1), count + real.sum(1)
        hidden = total / count.clamp(min=1).unsqueeze(-1)
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits


AutoConfig.register(FastTextClassifierConfig.model_type, FastTextClassifierConfig, exist_ok=True)
AutoModelForSequenceClassification.register(FastTextClassifierConfig, FastTextClassifierModel, exist_ok=True)
