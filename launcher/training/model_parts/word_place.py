"""Language models that are asked for one word of a text: their head computes at its place only.

The logits of a whole batch would be rows x tokens x vocabulary numbers. The head treats every position alike, so that
the body's state at one place is all that it needs: logits are [rows, vocabulary].
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

HERE = "answer_at"
"""The input, int64 [rows]: where each row's word is said, counted from the end of the padded row (-1 is its last
position). Whatever a method puts before a row, it stays true."""
POOLER = "encoder.pooler"
"""What would sum a text up in one vector, in an encoder-decoder of two encoders."""


def read_at_word(model: PreTrainedModel) -> PreTrainedModel:
    """Let the forward pass take `answer_at`, and give logits [rows, vocabulary] then; the same object."""
    model.base_model.register_forward_hook(_only_there)
    model.forward = MethodType(_answer_there, model)
    model._head_is_its_own = True  # type: ignore[assignment]  # an attribute of our own
    return model


def has_own_head(model: PreTrainedModel) -> bool:
    """Whether the head came with the model, so that nothing of it is new."""
    return bool(getattr(model, "_head_is_its_own", False))


def never_asked(model: PreTrainedModel) -> list[str]:
    """Modules that no output depends on, so that they learn nothing."""
    return [POOLER] if model.config.model_type == "encoder-decoder" else []


def _answer_there(self: Any, answer_at: torch.Tensor | None = None, **given: Any) -> Any:
    """The class's own forward pass; with `answer_at` its head sees one position of each row."""
    body = self.base_model
    body._answer_at = answer_at
    try:
        output = type(self).forward(self, **given)
    finally:
        body._answer_at = None
    if answer_at is not None:
        output.logits = output.logits[:, 0]
    return output


def _only_there(body: Any, _: Any, output: Any) -> Any:
    """Keep of the states [rows, tokens, width] those at the asked place, [rows, 1, width]."""
    import torch

    place = getattr(body, "_answer_at", None)
    if place is not None:
        states = output.last_hidden_state
        rows = torch.arange(states.shape[0], device=states.device)
        output.last_hidden_state = states[rows, states.shape[1] + place].unsqueeze(1)
    return output
