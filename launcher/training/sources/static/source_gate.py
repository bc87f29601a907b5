"""What several sources say of a token, weighed: a learned gate (Kiela et al. 2018, arXiv 1804.07983)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SourceGate(nn.Module):
    """Vectors of all sources side by side [..., sum of widths] to one of them [..., dimension].

    Each goes through a layer of its own to the one width; their weights, which sum to one, are a function of all.
    """

    def __init__(self, widths: Sequence[int], dimension: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.projections = nn.ModuleList(nn.Linear(width, dimension) for width in widths)
        self.weights = nn.Linear(sum(widths), len(widths))

    def forward(self, vectors: Tensor) -> Tensor:
        """See the class."""
        shares = self.weights(vectors).softmax(dim=-1)
        parts = vectors.split(self.widths, dim=-1)
        of_width = [layer(part) for layer, part in zip(self.projections, parts, strict=True)]
        mixed: Tensor = (torch.stack(of_width, dim=-1) * shares.unsqueeze(-2)).sum(dim=-1)
        return mixed
