"""What a static model is told of a question's and its context's tokens: whose a token is, and whether the other has it.

That a word of the context occurs in the question is what says most of where the answer is (the exact match of Chen et
al. 2017, arXiv 1704.00051, section 3.2), and no encoder of single vectors sees it by itself.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from launcher.training.sources.static.part import Part


class QuestionMarks(Part):
    """A vector for the tokens of the second text, and one for tokens that both have."""

    name: ClassVar[str] = "marks"
    adds_to: ClassVar[Literal["vectors", "logits"]] = "vectors"

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.vectors = nn.Linear(2, dimension, bias=False)

    def forward(self, input_ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """[rows, tokens] to [rows, tokens, dimension]; without types there is one text only."""
        side = torch.zeros_like(input_ids) if types is None else types
        other = (side.unsqueeze(2) != side.unsqueeze(1)) & mask.bool().unsqueeze(1)
        both = ((input_ids.unsqueeze(2) == input_ids.unsqueeze(1)) & other).any(-1)
        vectors: Tensor = self.vectors(torch.stack([side, both], dim=-1).to(self.vectors.weight.dtype))
        return vectors
