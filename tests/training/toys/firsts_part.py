"""A vector that trains, added to each token that begins a training text."""

import torch
from torch import nn

from launcher.training.sources.static.part import Part


class FirstsVector(Part):
    name = "firsts"
    adds_to = "vectors"

    def __init__(self, count, dimension):
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(dimension))
        self.register_buffer("ids", torch.zeros(count, dtype=torch.int64))

    @classmethod
    def configured(cls, noun, known):
        return {"firsts": len(known["ids"])}

    @classmethod
    def of(cls, config):
        count = getattr(config, "firsts", None)
        return None if count is None else cls(count, config.dimension)

    def forward(self, input_ids, mask, types=None):
        return torch.isin(input_ids, self.ids).unsqueeze(-1) * self.vector
