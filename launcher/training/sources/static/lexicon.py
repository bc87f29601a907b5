"""What a lexicon says of the words that a text holds, added to the vectors of their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from launcher.recipe.beside import Lexicon
from launcher.training.sources.static.lexicon_files import LONGEST
from launcher.training.sources.static.ngrams import Numbering
from launcher.training.sources.static.part import Part


class LexiconVectors(Part):
    """A token's vector gets what is said of the longest listed word that covers it, times `weights`.

    After Ma et al. 2020 ("Simplify the Usage of Lexicon in Chinese NER", arXiv 1908.05969), who take all words that
    cover a character. Of two of one length the later counts. `weights` start at zero: so the model starts as the one
    without a lexicon. `keys` and `values` are those of `lexicon_files.save`, and before all values a row of zeros.
    """

    name = "lexicon"
    adds_to = "vectors"
    keys: Tensor
    values: Tensor

    def __init__(self, words: int, columns: int, dimension: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(columns, dimension))
        self.register_buffer("keys", torch.arange(words))
        self.register_buffer("values", torch.zeros(words + 1, columns))

    @classmethod
    def configured(cls, noun: Lexicon, known: Mapping[str, Tensor]) -> dict[str, Any]:
        """Words and columns."""
        return {"lexicon": tuple(known["values"].shape)}

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self | None:
        """Of that many words and columns."""
        if not config.lexicon:
            return None
        words, columns = config.lexicon
        return cls(words, columns, config.dimension)

    def fill(self, known: Mapping[str, Tensor]) -> None:
        """The row of zeros stays."""
        self.keys.copy_(known["keys"])
        self.values[1:] = known["values"]

    def forward(self, input_ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """[rows, tokens] to [rows, tokens, dimension]; no word reaches from one of the `types` [rows, tokens] on."""
        covering = torch.zeros_like(input_ids)
        for length, keys in enumerate(Numbering(LONGEST).numbers(input_ids), 1):
            places = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
            known = self.keys[places] == keys
            if types is not None:
                known &= types[:, : keys.shape[1]] == types[:, length - 1 :]
            found = torch.where(known, places + 1, 0)
            for offset in reversed(range(length)):  # a text may be shorter than the word
                there = nn.functional.pad(found, (offset, length - 1 - offset))[:, : input_ids.shape[1]]
                covering = torch.where(there > 0, there, covering)
        return self.values[covering].to(self.weights.dtype) @ self.weights
