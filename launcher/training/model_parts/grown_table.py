"""A token table with rows for tokens that the model did not have: these are a module of their own, and so a new layer.

It trains and is saved as other new layers are, under every method that leaves the model as it was; the model's own rows
stay as they are, whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

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
        with torch.no_grad():
            self.added.weight.copy_(own.weight.mean(dim=0).expand(count, -1))
            for row, numbers in enumerate(pieces):
                if numbers:
                    self.added.weight[row] = own.weight[list(numbers)].mean(dim=0)

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


def grow(model: PreTrainedModel, folder: Path) -> None:
    """Give the model rows for the tokens that were added to the tokenizer in `folder`, where there are any.

    `folder` is what `build_tokenizer` filled, or a saved model's. Raises DataError for a table that does more than
    look rows up.
    """
    path = (folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder) / FILE
    values = read_json(path) if path.is_file() else None
    if values is None:
        return
    table = model.get_input_embeddings()
    if type(table) is not nn.Embedding:
        what = f"models of type {model.config.model_type!r} have a token table of a kind that takes no new tokens"
        raise DataError(Problem(what, do="leave out embedding.new_tokens"))
    grown = GrownTable(table, int(values["first"]), int(values["count"]), values.get("pieces", ()))
    model.set_input_embeddings(grown)
    name = next(name for name, module in model.named_modules() if module is grown)
    lacked = getattr(model, "_new_modules", ())
    model._new_modules = [*lacked, f"{name}.added"]  # type: ignore[assignment]  # as `sources.pretrained` sets it


def rows_of(model: PreTrainedModel) -> int | None:
    """How many numbers of tokens the model has a row for; None where it does not say."""
    grown = next((module for module in model.modules() if isinstance(module, GrownTable)), None)
    return getattr(model.config, "vocab_size", None) if grown is None else grown.end
