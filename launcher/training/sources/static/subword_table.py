"""A table whose vectors are made of subwords, in the place of an `nn.Embedding` of whole words."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from launcher.training.sources.static.subword_rows import SubwordRows

BUFFERS = ("shape", "buckets", "values", "offsets", "counts", "scale")


class SubwordTable(nn.Module):
    """Token ids to the means of their rows (see `subword_rows`). Its `rows` are an `nn.Embedding`, so that what knows
    tables (no decay, a unit of its own where weights are sharded, LoRA) knows this one.
    """

    shape: Tensor
    buckets: Tensor
    values: Tensor
    offsets: Tensor
    counts: Tensor
    scale: Tensor

    def __init__(self, size: int, dimension: int, buckets: int, values: int, tokens: int) -> None:
        """So many rows, buckets with a row, rows of all tokens together, and tokens; `take` fills the buffers."""
        super().__init__()
        self.rows = nn.Embedding(size, dimension, padding_idx=0)
        lengths = (4, buckets, values, tokens + 1, tokens)
        for name, length in zip(BUFFERS, lengths, strict=False):
            self.register_buffer(name, torch.zeros(length, dtype=torch.int64))
        self.register_buffer("scale", torch.ones(1))

    @property
    def weight(self) -> Tensor:
        """Of the rows."""
        return self.rows.weight

    def take(self, known: SubwordRows) -> None:
        """Make the vectors of these tokens from now on."""
        for name, values in known.tensors().items():
            setattr(self, name, torch.from_numpy(values).to(self.counts.device))

    def known(self) -> SubwordRows:
        """What the buffers hold."""
        return SubwordRows.from_tensors({name: getattr(self, name).cpu().numpy() for name in BUFFERS})

    def forward(self, ids: Tensor) -> Tensor:
        """int64 [...] to [..., dimension]."""
        sums, counts = self.sums(ids.reshape(-1))
        return (sums / counts.clamp(min=1).unsqueeze(-1)).view(*ids.shape, -1)

    def sums(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [tokens] to the sums of their rows, [tokens, dimension], and of how many rows these are means."""
        starts, lengths = self.offsets[ids], self.offsets[ids + 1] - self.offsets[ids]
        shift = torch.repeat_interleave(starts - lengths.cumsum(0) + lengths, lengths)
        places = torch.arange(len(shift), device=ids.device) + shift
        found = cast("Tensor", self.rows(self.values[places]))
        # adds in one order on every device, unlike index_add; lengths are right, so they need not be checked
        return torch.segment_reduce(found, "sum", lengths=lengths, axis=0, unsafe=True), self.counts[ids]

    def row_of(self, buckets: Tensor) -> Tensor:
        """The row of each bucket, int64 [...]; 0, which is zeros, for one that has none."""
        if not len(self.buckets):
            return torch.zeros_like(buckets)
        places = torch.searchsorted(self.buckets, buckets).clamp(max=len(self.buckets) - 1)
        return torch.where(self.buckets[places] == buckets, self.rows.num_embeddings - len(self.buckets) + places, 0)


def of_shape(known: SubwordRows) -> dict[str, int]:
    """What a model's configuration says of its table, by the names of the arguments of `SubwordTable`."""
    return {
        "size": known.size,
        "buckets": len(known.buckets),
        "values": len(known.rows.values),
        "tokens": len(known.counts),
    }


def vectors_of(table: nn.Module, tokens: int) -> np.ndarray:
    """The vectors of the first `tokens` ids, float32 [tokens, dimension], whatever kind of table it is."""
    with torch.no_grad():
        blocks = torch.arange(tokens).split(4096)
        found: np.ndarray = torch.cat([table(block).float() for block in blocks]).numpy()
        return found
