"""What the body of a model is called in its tensors' names, where a head gives it another name than the family does.

Under a head of spans Llama and Qwen2 have their body as `transformer`, and everywhere else, so in every checkpoint of a
language model, as `model`: transformers then finds no tensor of it, and draws all of them anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def renaming(auto_class: Any, config: PretrainedConfig) -> dict[str, str]:
    """Pattern to replacement for names in a checkpoint, `from_pretrained`'s `key_mapping`; empty for most families."""
    from transformers import AutoModel

    mapping = getattr(auto_class, "_model_mapping", {})
    if type(config) not in mapping or type(config) not in AutoModel._model_mapping:
        return {}
    head, body = mapping[type(config)], AutoModel._model_mapping[type(config)]
    there, here = (getattr(one, "base_model_prefix", "") for one in (body, head))
    return {rf"^{there}\.": f"{here}."} if there and here and there != here else {}


def forget(model: PreTrainedModel, renamed: dict[str, str]) -> None:
    """Let the model be saved under its own names: transformers would undo what it renamed when loading."""
    kept = getattr(model, "_weight_conversions", None) or []
    # an attribute of transformers' own, which it declares nowhere
    model._weight_conversions = [  # type: ignore[assignment]
        each for each in kept if not set(_listed(each.source_patterns)) & renamed.keys()
    ]


def _listed(patterns: Any) -> list[str]:
    return [patterns] if isinstance(patterns, str) else list(patterns)
