"""Token tables that train: only the rows that the training split names, and only they travel between ranks.

A row that no training text names has no gradient, no moments and (tables are not decayed) never changes. So the
table is split into the rows that train, which alone have gradient and optimiser state, and the rest, which is
only looked up. The numbers are those of training the whole table (docs/decisions/004-embedding-rows.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from launcher.training.batches.split import occurrences

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORTH_IT = 0.9
"""Tables of which more than this part is named are left as they are."""


class TrainedRows(nn.Module):
    """Stands for an `nn.Embedding` while it trains: `weight` [named rows, width]; `rest` is the frozen table.

    `rest` is a module of its own: where parameters are sharded, training never gathers it.
    """

    row_of: Tensor
    named: Tensor

    def __init__(self, table: nn.Embedding, numbers: np.ndarray) -> None:
        """`numbers` are the named rows, sorted; the table may be one without data (memory is planned so)."""
        super().__init__()
        named = torch.from_numpy(numbers)
        whole = table.weight.detach()
        row_of = torch.full((whole.shape[0],), -1, dtype=torch.int64)
        row_of[named] = torch.arange(len(named))
        self.weight = nn.Parameter(whole[named].clone())
        self.rest: nn.Embedding = nn.Embedding.from_pretrained(whole, freeze=True)
        self.register_buffer("row_of", row_of, persistent=False)
        self.register_buffer("named", named, persistent=False)
        padding_row = np.flatnonzero(numbers == table.padding_idx)
        self.padding = int(padding_row[0]) if table.padding_idx is not None and len(padding_row) else None

    def forward(self, ids: Tensor) -> Tensor:
        """int64 [...] to [..., width]. Texts that are not trained on may name any row."""
        rows = self.row_of[ids]
        if self.training:
            return nn.functional.embedding(rows, self.weight, self.padding)
        trained = nn.functional.embedding(rows.clamp(min=0), self.weight)
        return torch.where((rows >= 0).unsqueeze(-1), trained, self.rest(ids))

    def rows_of(self, ids: Tensor) -> Tensor:
        """The rows of `weight` that these ids name."""
        rows: Tensor = self.row_of[ids]
        return rows

    def merged(self) -> Tensor:
        """The whole table [vocabulary, width]."""
        return self.rest.weight.detach().index_copy(0, self.named, self.weight.detach())


def compact(model: nn.Module, tokens: np.ndarray, padding: int) -> None:
    """Let the model's token table train only the rows of `tokens` (all ids of the training split) and padding.

    Nothing happens where the table is frozen, tied to an output layer, or mostly named.
    """
    _, table = sparse_table(model) or ("", None)
    if not isinstance(table, nn.Embedding):
        return
    counts = occurrences(tokens, table.num_embeddings)
    counts[padding] += 1
    own = getattr(getattr(base_of(model), "config", None), "pad_token_id", None)  # some fill up windows themselves
    if own is not None and 0 <= own < len(counts):
        counts[own] += 1
    named = np.flatnonzero(counts)
    if len(named) < WORTH_IT * table.num_embeddings:
        base_of(model).set_input_embeddings(TrainedRows(table, named))


def expand(model: nn.Module) -> None:
    """Put the whole table back as the `nn.Embedding` it was."""
    rows = _input_table(model)
    if isinstance(rows, TrainedRows):
        vocabulary, width = rows.rest.weight.shape
        padding = None if rows.padding is None else int(rows.named[rows.padding])
        table = nn.Embedding(vocabulary, width, padding_idx=padding, _weight=rows.merged())
        base_of(model).set_input_embeddings(table)


def sparse_table(model: nn.Module) -> tuple[str, nn.Embedding | TrainedRows] | None:
    """Name and module of the trainable token table whose gradient lies only in the rows of the batch's ids.

    A table that is tied to an output layer has a dense gradient, and one of a class of its own may do more than look
    rows up (Gemma's scales them); then there is none.
    """
    table = _input_table(model)
    weight = getattr(table, "weight", None)
    if type(table) is not nn.Embedding and not isinstance(table, TrainedRows):
        return None
    if weight is None or not weight.requires_grad:
        return None
    holders = [m for m in model.modules() if any(p is weight for p in m.parameters(recurse=False))]
    names = [name for name, module in model.named_modules() if module is table]
    return (names[0], table) if len(holders) == 1 and names else None


def _input_table(model: nn.Module) -> nn.Module | None:
    """What the model looks tokens up in; None where it takes none."""
    try:
        return base_of(model).get_input_embeddings()
    except NotImplementedError:  # how transformers says it, of a ResNet
        return None


def is_table(module: nn.Module) -> bool:
    """Whether the module is a table of vectors: never decayed."""
    return isinstance(module, nn.Embedding | TrainedRows)


def base_of(model: nn.Module) -> PreTrainedModel:
    """The model itself, or the one that peft has wrapped: what trains is a model of transformers' kind."""
    # a cast, as peft's own types know only nn.Module
    return cast("PreTrainedModel", getattr(model, "get_base_model", lambda: model)())
