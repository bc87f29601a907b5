"""What encodes the vectors of a static source: each encoder answers one question, for texts and for tokens.

    forward(vectors [rows, tokens, dimension], mask [rows, tokens]) -> [rows, width] (`pool`) or [rows, tokens, width]

Rows are padded on the right, and what is padded never changes a result: neither how many rows and columns a batch
has, nor what stands in the columns beyond a row's end. This is the one `match` over the union of encoders.
"""

from __future__ import annotations

import json
import math
from typing import Any, assert_never

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from launcher.recipe.source import BiLSTM, Encoder, MeanPooling, TextCNN, Transformer

SHARPNESS = 5.0
"""Of the smooth maximum."""


def build_encoder(values: dict[str, Any], dimension: int, dropout: float, pool: bool) -> Any:
    """The module that an encoder's noun asks for, given by its values; its `width` is that of what it puts out."""
    encoder: Encoder = TypeAdapter(Encoder).validate_json(json.dumps(values))
    match encoder:
        case MeanPooling():
            return MeanEncoder(encoder, dimension, pool)
        case BiLSTM():
            return LSTMEncoder(encoder, dimension, pool, dropout)
        case TextCNN():
            return CNNEncoder(encoder, dimension, pool)
        case Transformer():
            return TransformerEncoder(encoder, dimension, pool, dropout)
        case _:
            assert_never(encoder)


class MeanEncoder(nn.Module):
    """One hidden layer over mean and smooth maximum of the vectors (`pool`), or over each vector by itself."""

    def __init__(self, encoder: MeanPooling, dimension: int, pool: bool) -> None:
        super().__init__()
        self.pool = pool
        self.hidden = nn.Linear(dimension * (2 if pool else 1), encoder.hidden)
        self.width = encoder.hidden

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """[rows, tokens, dimension] to [rows, width] (pool) or [rows, tokens, width]."""
        if self.pool:
            vectors = torch.cat([masked_mean(vectors, mask), smooth_max(vectors, mask)], dim=-1)
        return nn.functional.gelu(self.hidden(vectors))


class LSTMEncoder(nn.Module):
    """A bidirectional LSTM; a text (`pool`) is the smooth maximum over its states.

    Two LSTMs a layer, one over the rows and one over the rows reversed within their lengths. That equals a
    packed `nn.LSTM(bidirectional=True)`, needs no lengths on the host, and trains several times faster on a
    CPU, where the gradient of a packed LSTM costs the square of the length.
    """

    def __init__(self, encoder: BiLSTM, dimension: int, pool: bool, dropout: float) -> None:
        super().__init__()
        self.pool = pool
        self.width = 2 * encoder.hidden
        widths = [dimension, *[self.width] * (encoder.layers - 1)]
        self.forward_pass = nn.ModuleList(nn.LSTM(n, encoder.hidden, batch_first=True) for n in widths)
        self.backward_pass = nn.ModuleList(nn.LSTM(n, encoder.hidden, batch_first=True) for n in widths)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """[rows, tokens, dimension] to [rows, width] (pool) or [rows, tokens, width]."""
        places = mirrored(mask)
        states = vectors
        for number, (onward, reverse) in enumerate(zip(self.forward_pass, self.backward_pass, strict=True)):
            states = states if number == 0 else self.dropout(states)
            before, after = onward(states)[0], take(reverse(take(states, places))[0], places)
            states = torch.cat([before, after], dim=-1)
        return smooth_max(states, mask) if self.pool else states


class CNNEncoder(nn.Module):
    """Filters over windows of several widths, each centred on a token; a text (`pool`) is the smooth maximum over them.

    As Kim (2014), but with zeros around a text, so that each token has a window and short texts have one at all,
    and with a smooth maximum and a smooth activation instead of the hard ones (see `smooth_max`).
    """

    def __init__(self, encoder: TextCNN, dimension: int, pool: bool) -> None:
        super().__init__()
        self.pool = pool
        self.widths = encoder.widths
        self.width = encoder.filters * len(encoder.widths)
        self.windows = nn.ModuleList(nn.Conv1d(dimension, encoder.filters, width) for width in encoder.widths)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """[rows, tokens, dimension] to [rows, width] (pool) or [rows, tokens, width]."""
        channels = (vectors * mask.unsqueeze(-1).to(vectors.dtype)).transpose(1, 2)
        found = []
        for window, width in zip(self.windows, self.widths, strict=True):
            found.append(window(nn.functional.pad(channels, ((width - 1) // 2, width // 2))))
        states = nn.functional.gelu(torch.cat(found, dim=1)).transpose(1, 2)
        return smooth_max(states, mask) if self.pool else states


class TransformerEncoder(nn.Module):
    """Pre-norm transformer layers (torch's own) over projected vectors with sinusoidal positions.

    A text (`pool`) is the smooth maximum over its last states.
    """

    def __init__(self, encoder: Transformer, dimension: int, pool: bool, dropout: float) -> None:
        super().__init__()
        self.pool = pool
        self.width = encoder.hidden
        self.project = nn.Linear(dimension, encoder.hidden)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                encoder.hidden,
                encoder.heads,
                encoder.feed_forward,
                dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(encoder.layers)
        )
        self.norm = nn.LayerNorm(encoder.hidden)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """[rows, tokens, dimension] to [rows, width] (pool) or [rows, tokens, width]."""
        # vectors are some ten times smaller than sines and cosines, which would be all that the layers see of a token
        states = self.project(vectors) * math.sqrt(self.width)  # Vaswani et al. 2017, section 3.4
        states = self.dropout(states + positions(states.shape[1], self.width, states))
        hidden = mask.eq(0)
        hidden[:, :1] = False  # where a row has no token at all, attention to nothing would be no number
        for layer in self.layers:
            states = layer(states, src_key_padding_mask=hidden)
        states = self.norm(states)
        return smooth_max(states, mask) if self.pool else states


def positions(length: int, width: int, like: Tensor) -> Tensor:
    """Sines and cosines of each place [length, width] (Vaswani et al. 2017), where and as `like` is."""
    place = torch.arange(length, device=like.device, dtype=torch.float32).unsqueeze(1)
    pairs = torch.arange((width + 1) // 2, device=like.device, dtype=torch.float32)
    angle = place * torch.exp(pairs * (-2 * math.log(10_000) / width))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width].to(like.dtype)


def mirrored(mask: Tensor) -> Tensor:
    """For each place the one that mirrors it among its row's real tokens, [rows, tokens]; padding stays."""
    places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    lengths = mask.long().sum(1, keepdim=True)
    return torch.where(places < lengths, lengths - 1 - places, places)


def take(states: Tensor, places: Tensor) -> Tensor:
    """The states [rows, tokens, width] in the order of `places` [rows, tokens]."""
    return states.gather(1, places.unsqueeze(-1).expand_as(states))


def masked_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that are real, [rows, width]; zeros where a row has none."""
    weights = mask.unsqueeze(-1).to(vectors.dtype)
    return (vectors * weights).sum(1) / weights.sum(1).clamp(min=1)


def smooth_max(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that are real, weighted by exp(SHARPNESS x state), [rows, width]; zeros where none is.

    Close to the maximum, but smooth: where two states are as good as equal, a hard maximum sends the gradient to
    one or the other by the last bit, and the loss curve then depends on how the batch was split.
    """
    real = mask.bool().unsqueeze(-1)
    weights = (SHARPNESS * states).masked_fill(~real, torch.finfo(states.dtype).min).softmax(1)
    return (weights * real * states).sum(1)
