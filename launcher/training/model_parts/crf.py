"""A linear-chain conditional random field over tags (Lafferty et al. 2001): how likely a path is, which is likeliest.

    score of a path = start[y1] + logits[1, y1] + sum of transitions[y(t-1), y(t)] + logits[t, y(t)] + end[yT]

Only the tokens of `mask` are on the path: what lies between them (further pieces of a word, padding) is passed over.
Shapes: logits [rows, tokens, tags], mask bool [rows, tokens], transitions [tags, tags], start and end [tags].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

NEVER = -1e30
"""The score of a step that is not allowed: no infinity, so that differences stay numbers."""


class Chain(NamedTuple):
    """What decides over paths besides the logits."""

    transitions: Tensor
    start: Tensor
    end: Tensor

    def backwards(self) -> Chain:
        """The same for paths that are read from their end."""
        return Chain(self.transitions.T, self.end, self.start)

    def only(self, allowed: Chain) -> Chain:
        """The same where `allowed` (bool) is true; no path takes another step."""
        return Chain(*(values.masked_fill(~may, NEVER) for values, may in zip(self, allowed, strict=True)))


def bio_steps(tags: Sequence[str], device: torch.device) -> Chain:
    """Which steps BIO allows, bool: I-x stands behind B-x or I-x only."""
    inside = [tag[2:] if tag.startswith("I-") else None for tag in tags]
    kinds = [tag[2:] for tag in tags]
    may = [[kind is None or kind == before for kind in inside] for before in kinds]
    first = [kind is None for kind in inside]
    ends = [True] * len(tags)
    return Chain(*(torch.tensor(values, dtype=torch.bool, device=device) for values in (may, first, ends)))


def negative_log_likelihood(logits: Tensor, tags: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """Of these paths, in nats, summed over all rows: a scalar. `tags` int64 [rows, tokens] is read where `mask` is."""
    tags = tags.masked_fill(~mask, 0)
    path, before = logits.new_zeros(len(logits)), tags[:, 0]
    begun = torch.zeros_like(mask[:, 0])
    for index in range(logits.shape[1]):
        here, tag = mask[:, index], tags[:, index]
        step = torch.where(begun, chain.transitions[before, tag], chain.start[tag])
        path = path + torch.where(here, step + logits[:, index].gather(1, tag[:, None])[:, 0], 0.0)
        before, begun = torch.where(here, tag, before), begun | here
    path = path + chain.end[before]
    whole = (_forward(logits, mask, chain)[-1] + chain.end).logsumexp(-1)
    return torch.where(begun, whole - path, 0.0).sum()


def log_marginals(logits: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """How likely each tag is at each token over all paths, as logarithms [rows, tokens, tags]; elsewhere arbitrary."""
    forward = torch.stack(_forward(logits, mask, chain), dim=1)
    backward = torch.stack(_forward(logits.flip(1), mask.flip(1), chain.backwards()), dim=1).flip(1)
    return (forward + backward - logits).log_softmax(-1)


@torch.no_grad()
def best_path(logits: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """The likeliest tags (Viterbi), int64 [rows, tokens]; where `mask` is not they are arbitrary."""
    rows, width, _ = logits.shape
    scores, begun, came = torch.zeros_like(logits[:, 0]), torch.zeros_like(mask[:, 0]), []
    for index in range(width):
        best, before = (scores[:, :, None] + chain.transitions).max(1)
        here = mask[:, index, None]
        scores = torch.where(here, torch.where(begun[:, None], best, chain.start) + logits[:, index], scores)
        came.append(before)
        begun = begun | mask[:, index]
    tag = (scores + chain.end).argmax(-1)
    path = torch.zeros((rows, width), dtype=torch.int64, device=logits.device)
    for index in reversed(range(width)):
        path[:, index] = tag
        tag = torch.where(mask[:, index], came[index].gather(1, tag[:, None])[:, 0], tag)
    return path


def _forward(logits: Tensor, mask: Tensor, chain: Chain) -> list[Tensor]:
    """For each token the logarithm of the sum over all paths up to it that end in each tag, [rows, tags]."""
    scores, begun, all_scores = torch.zeros_like(logits[:, 0]), torch.zeros_like(mask[:, 0]), []
    for index in range(logits.shape[1]):
        reached = (scores[:, :, None] + chain.transitions).logsumexp(1)
        here = mask[:, index, None]
        scores = torch.where(here, torch.where(begun[:, None], reached, chain.start) + logits[:, index], scores)
        begun = begun | mask[:, index]
        all_scores.append(scores)
    return all_scores
