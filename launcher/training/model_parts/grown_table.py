"""A token table with rows for tokens that the model did not have: these are a module of their own, and so a new layer.

It trains and is saved as other new layers are, under every method that leaves the model as it was; the model's own rows
stay as they are, whatever their number. So does the head of a language model, which must be able to say such tokens: by
the rows of the table where it is tied to this, else by rows of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from launcher.errors import DataError, Problem
from launcher.json_files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILE = "new_tokens.json"
"""Beside the tokenizer's files: `{"first": number of the first new token, "count": how many, "pieces": [numbers]}`."""


class GrownTable(nn.Module):
    """Stands for an `nn.Embedding`: ids from `first` on, up to `end`, are looked up in `added`.

    A row of it starts as the mean of those of its `pieces`; without any, of all rows: a word that means nothing in
    particular.
    """

    def __init__(self, own: nn.Embedding, first: int, count: int, pieces: Sequence[Sequence[int]] = ()) -> None:
        super().__init__()
        self.own, self.first, self.end = own, first, first + count
        self.added = nn.Embedding(count, own.embedding_dim, device=own.weight.device, dtype=own.weight.dtype)
        _start(self.added.weight, own.weight, pieces)

    @property
    def embedding_dim(self) -> int:
        """Length of a vector."""
        return self.own.embedding_dim

    def forward(self, ids: Tensor) -> Tensor:
        """int64 [...] to [..., width]."""
        new = ids >= self.first
        own = self.own(ids.masked_fill(new, 0))
        added = self.added((ids - self.first).clamp(min=0))
        return torch.where(new.unsqueeze(-1), added, own)


class GrownHead(nn.Module):
    """Stands for the last layer of a language model: logits of its own tokens, then those of the added ones."""

    bias: Tensor | None

    def __init__(self, own: nn.Linear, table: GrownTable, pieces: Sequence[Sequence[int]] = ()) -> None:
        super().__init__()
        self.own, self.first, self.out_features = own, table.first, table.end
        count, tied = table.end - table.first, own.weight is table.own.weight
        self.__dict__["table"] = table if tied else None  # a part of the model where tokens are looked up
        self.added, bias = None, None
        if not tied:
            self.added = nn.Linear(own.in_features, count, own.bias is not None, own.weight.device, own.weight.dtype)
            _start(self.added.weight, own.weight, pieces)
        if own.bias is not None:
            bias = own.bias.new_empty(count) if self.added is None else self.added.bias
            _start(bias, own.bias, pieces)
        self.register_buffer("bias", bias if tied else None, persistent=False)  # as every process makes it again

    def forward(self, states: Tensor) -> Tensor:
        """[..., width] to [..., tokens]."""
        known = self.own(states)[..., : self.first]
        if self.added is None:
            numbers = torch.arange(self.out_features - self.first, device=states.device)
            rows = self.__dict__["table"].added(numbers)  # called, so that sharded rows are there
            return torch.cat([known, linear(states, rows.to(states.dtype), self.bias)], dim=-1)
        return torch.cat([known, self.added(states)], dim=-1)


@torch.no_grad()
def _start(added: Tensor, own: Tensor, pieces: Sequence[Sequence[int]]) -> None:
    """Each new row as the mean of those of its pieces, or of all."""
    added.copy_(own.mean(dim=0).expand_as(added))
    for row, numbers in enumerate(pieces):
        if numbers:
            added[row] = own[list(numbers)].mean(dim=0)


def grow(model: PreTrainedModel, folder: Path) -> None:
    """Give the model rows for the tokens that were added to the tokenizer in `folder`, where there are any.

    `folder` is what `build_tokenizer` filled, or a saved model's. Raises DataError for a table that does more than
    look rows up.
    """
    path = (folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder) / FILE
    values = read_json(path) if path.is_file() else None
    if values is None:
        return
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    first, pieces = int(values["first"]), values.get("pieces", ())
    others = head is not None and (type(head) is not nn.Linear or head.out_features < first)
    if type(table) is not nn.Embedding or others:
        what = f"models of type {model.config.model_type!r} have a token table of a kind that takes no new tokens"
        raise DataError(Problem(what, do="leave out embedding.new_tokens"))
    grown = GrownTable(table, first, int(values["count"]), pieces)
    model.set_input_embeddings(grown)
    new: list[GrownTable | GrownHead] = [grown]
    if isinstance(head, nn.Linear):
        new.append(_grow_head(model, head, grown, pieces))
    added = [f"{name}.added" for name, module in model.named_modules() if module in new and module.added is not None]
    lacked = getattr(model, "_new_modules", ())
    model._new_modules = [*lacked, *added]  # type: ignore[assignment]  # as `sources.pretrained` sets it


def _grow_head(
    model: PreTrainedModel, head: nn.Linear, table: GrownTable, pieces: Sequence[Sequence[int]]
) -> GrownHead:
    """Put a grown head in the place of this one; and let the model count its tokens with the new ones."""
    grown = GrownHead(head, table, pieces)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if child is head and module is not grown:
                setattr(module, name, grown)
    model.config.get_text_config().vocab_size = grown.out_features
    if hasattr(model, "_resize_final_logits_bias"):  # an encoder-decoder's, beside its head
        model._resize_final_logits_bias(grown.out_features)  # type: ignore[operator]  # a method
    return grown


def rows_of(model: PreTrainedModel) -> int | None:
    """How many numbers of tokens the model has a row for; None where it does not say."""
    grown = next((module for module in model.modules() if isinstance(module, GrownTable)), None)
    return getattr(model.config, "vocab_size", None) if grown is None else grown.end
