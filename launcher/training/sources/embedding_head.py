"""The head of text embeddings on a pretrained body: states pooled into one vector a text, of length 1.

It has no weights. Which states, the configuration says (`sentence_pooling`), so that a saved model knows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig

from launcher.training.model_parts.embedding_names import EMBEDDINGS
from launcher.training.sources.own_heads import AutoModelWith, OwnHead
from launcher.training.sources.pooling import last_of, reads_forwards

POOLING = "sentence_pooling"
"""Of the configuration: mean, first or last."""
NAMES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first", "pooling_mode_lasttoken": "last"}
"""What the sentence-transformers library calls them."""
FILE = Path("1_Pooling", "config.json")


class EmbeddingHead(OwnHead):
    """`embeddings` [rows, width] from the states."""

    task_name = "TextEmbedding"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.pooling = getattr(config, POOLING, "mean")

    def forward(self, states: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The pooled states, divided by their length in float32."""
        mask = inputs.get("attention_mask")
        if self.pooling == "first":
            pooled = _first_of(states, mask)
        elif self.pooling == "last":
            pooled = last_of(states, mask)
        else:
            pooled = _mean_of(states.float(), mask)
        return {EMBEDDINGS: torch.nn.functional.normalize(pooled.float(), dim=-1)}


def _first_of(states: Tensor, mask: Tensor | None) -> Tensor:
    """The state of each row's first real token, wherever its padding is."""
    if mask is None:
        return states[:, 0]
    first = (mask != 0).long().argmax(dim=-1)
    return states[torch.arange(len(states), device=states.device), first]


def _mean_of(states: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return states.mean(dim=1)
    weights = mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def settled_pooling(said: str | None, folder: Path, config: Any) -> str:
    """What the recipe says; else what the model's folder says; else what its family suits: see `TextEmbedding`."""
    if said is not None:
        return said
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return next(ours for name, ours in NAMES.items() if told.get(name) is True)
    except (OSError, ValueError, AttributeError, StopIteration):
        return "last" if reads_forwards(config) else "mean"


AutoModelForTextEmbedding = AutoModelWith(EmbeddingHead)
