"""Models that answer for a text from its last token: which token that is, the attention mask says.

transformers looks for it by number: the last token that is not the padding's (GPT-2, Llama), all end tokens of a row
(BART, T5), or simply the last position (XLNet). Then an answer hangs on the neighbours in the batch, or on a text that
holds such a token itself. Here it is the last real token whatever its number. In a text as tokenizers make it these are
the same, so a saved model answers alike in transformers.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

BY_PADDING = frozenset(
    (
        *("biogpt", "bloom", "ctrl", "falcon", "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj"),
        *("modernbert-decoder", "mpt", "openai-gpt", "opt", "zamba", "zamba2"),
    )
)
"""Besides all that have transformers' generic head."""
BY_END = frozenset(("bart", "bigbird_pegasus", "mbart", "mt5", "mvp", "plbart", "t5", "umt5"))


def read_by_mask(model: PreTrainedModel) -> PreTrainedModel:
    """Let a text classifier find a row's last token, or the mean of all, by the attention mask; the same object."""
    kind = model.config.model_type
    if not type(model).__name__.endswith("ForSequenceClassification"):
        return model
    if kind in BY_END:
        model.forward = MethodType(_answer_of_encoder_decoder, model)
    elif looks_for_padding(model) or _summary(model) in ("last", "cls_index"):
        model.base_model.register_forward_hook(_last_everywhere, with_kwargs=True)
    elif _summary(model) == "mean":
        model.base_model.register_forward_hook(_mean_everywhere, with_kwargs=True)
    return model


def looks_for_padding(model: PreTrainedModel) -> bool:
    """Whether its head takes the last token whose number is not the padding's."""
    from transformers.modeling_layers import GenericForSequenceClassification

    return isinstance(model, GenericForSequenceClassification) or model.config.model_type in BY_PADDING


def reads_forwards(config: PretrainedConfig) -> bool:
    """Whether a token's state knows only what stands before it, as in GPT-2 and Llama."""
    from transformers.modeling_layers import GenericForSequenceClassification
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as heads

    kind: Any = heads.get(type(config), None)
    generic = kind is not None and issubclass(kind, GenericForSequenceClassification)
    return generic or config.model_type in BY_PADDING


def last_of(states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The state [rows, width] of each row's last real token, of states [rows, tokens, width]."""
    import torch

    if mask is None:
        return states[:, -1]
    places = torch.arange(mask.shape[1], device=mask.device)
    last = (places * (mask != 0)).argmax(dim=-1).to(states.device)
    return states[torch.arange(len(states), device=states.device), last]


def _summary(model: PreTrainedModel) -> str | None:
    """What `SequenceSummary` makes of the states; None in a model without one."""
    kinds = (getattr(module, "summary_type", None) for module in model.children())
    return next((kind for kind in kinds if isinstance(kind, str)), None)


def _last_everywhere(_: Any, __: Any, given: dict[str, Any], output: Any) -> Any:
    """Put the last token's state at every position: the head may take whichever it likes."""
    states = output.last_hidden_state
    output.last_hidden_state = last_of(states, given.get("attention_mask")).unsqueeze(1).expand_as(states)
    return output


def _mean_everywhere(_: Any, __: Any, given: dict[str, Any], output: Any) -> Any:
    """Put the mean of the real tokens' states at every position: the mean over all positions is then that one."""
    mask = given.get("attention_mask")
    if mask is not None:
        states = output.last_hidden_state
        weights = mask.to(states.dtype).unsqueeze(-1)
        mean = (states * weights).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
        output.last_hidden_state = mean.expand_as(states)
    return output


def _answer_of_encoder_decoder(
    self: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
) -> Any:
    """The forward pass of BART and T5 with a head, which in transformers ends in an error where rows hold different
    numbers of end tokens."""
    from transformers.modeling_outputs import SequenceClassifierOutput

    given = {"attention_mask": attention_mask}
    if hasattr(self, "_shift_right"):  # the others shift by themselves
        given["decoder_input_ids"] = self._shift_right(input_ids)
    states = self.base_model(input_ids, use_cache=False, **given).last_hidden_state
    return SequenceClassifierOutput(logits=self.classification_head(last_of(states, attention_mask)))
