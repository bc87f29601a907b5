"""Token vectors for TensorBoard's projector: the most frequent tokens of a split, what each is, and its vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from launcher.printing import one_line
from launcher.training.batches.split import Split
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.tasks.base import TaskWork

MOST = 2000
"""More points are slow in a browser."""


@dataclass(frozen=True)
class Points:
    """`vectors` [points, width]; `rows` are what is known of each, under `columns`."""

    vectors: np.ndarray
    columns: list[str]
    rows: list[list[str]]


@torch.no_grad()
def token_points(model: nn.Module, work: TaskWork, split: Split) -> Points:
    """The vectors that the model's table has for the tokens that the split names most often.

    The label of a token is the one it occurs with most beyond chance: of its texts, or its own tag.
    """
    ids, tokenizer = split.token_ids, work.tokenizer
    counts = np.bincount(ids)
    counts[[number for number in tokenizer.all_special_ids if number < len(counts)]] = 0
    chosen = np.argsort(-counts, kind="stable")[:MOST]
    chosen = chosen[counts[chosen] > 0]
    if not len(chosen):
        raise ValueError("the split has no tokens")
    table = base_of(model).get_input_embeddings()
    device = next(table.parameters()).device
    look_up = getattr(base_of(model), "looked_up", table)  # of a mixture what its gate makes of the rows
    vectors = look_up(torch.from_numpy(chosen).to(device).unsqueeze(1))[:, 0].float().cpu().numpy()
    names = [one_line(token) or " " for token in tokenizer.convert_ids_to_tokens(chosen.tolist())]
    typical = _typical(ids, *work.labelled_tokens(split), chosen, work.labels)
    rows = zip(names, typical, map(str, counts[chosen].tolist()), strict=True)
    return Points(vectors, ["token", "label", "count"], [list(row) for row in rows])


def _typical(
    ids: np.ndarray, indices: np.ndarray, classes: np.ndarray, chosen: np.ndarray, labels: Sequence[str]
) -> list[str]:
    """For each chosen token the label that is more frequent with it than anywhere else; `-` where there is none.

    The token at each of the `indices` has the class of the same position.
    """
    seen = np.zeros((int(ids.max()) + 1, max(1, len(labels))))
    np.add.at(seen, (ids[indices], classes), 1)
    share = seen.sum(axis=0) / max(1.0, seen.sum())
    lift = (seen[chosen] + share) / np.maximum(share, 1e-9)
    return [
        one_line(labels[int(best)]) if known else "-"
        for best, known in zip(lift.argmax(axis=1), seen[chosen].any(axis=1), strict=True)
    ]
