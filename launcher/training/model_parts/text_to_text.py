"""Encoder-decoders that learn to write one text for another: each token of the target after the right ones before it.

What the decoder reads is the target, moved by one token to the right, as its own family does that: T5 and BART begin
with `decoder_start_token_id`, mBART with the language's token, which stands at the target's end.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

import torch

from launcher.errors import DataError, Problem
from launcher.training.model_parts.positions import of_decoder
from launcher.training.model_parts.word_places import NONE, read_at_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def read_and_write(model: PreTrainedModel) -> PreTrainedModel:
    """Let the forward pass take the target as `answers`, int64 [rows, tokens] with `NONE` behind the shorter ones, and
    give the losses of its tokens; the same object.
    """
    read_at_words(model)
    at_words, most = model.forward, of_decoder(model.config)

    def forward(_: Any, answers: torch.Tensor | None = None, **given: Any) -> Any:
        """As `word_places`: with `answers` all of them are asked for."""
        if answers is None:
            return at_words(**given)
        width = answers.shape[1]
        if most is not None and width > most:
            what = f"a target has {width:,} tokens, and the model's decoder {most:,} positions"
            raise DataError(Problem(what, do=f"cut it: task.max_target_length={most}"))
        places = torch.arange(-width, 0, device=answers.device).expand(answers.shape)
        return at_words(answer_at=places, answers=answers, decoder_input_ids=moved(model, answers), **given)

    model.forward = MethodType(forward, model)
    return model


def moved(model: Any, answers: torch.Tensor) -> torch.Tensor:
    """What the decoder reads to say these, with padding behind the shorter ones."""
    padding = model.config.pad_token_id
    targets = answers.masked_fill(answers == NONE, 0 if padding is None else padding)
    own = getattr(model, "prepare_decoder_input_ids_from_labels", None)
    if own is not None:
        read: torch.Tensor = own(labels=targets)
        return read
    begin = targets.new_full((len(targets), 1), model.config.decoder_start_token_id)
    return torch.cat([begin, targets[:, :-1]], dim=1)  # as M2M100 does inside of its forward pass
