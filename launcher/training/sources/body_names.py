"""What the body of a model is called in its tensors' names, and what is not of it: a head may give it another name.

Under a head of spans Llama and Qwen2 have their body as `transformer`, and everywhere else, so in every checkpoint of a
language model, as `model`: transformers then finds no tensor of it, and draws all of them anew.
"""

from __future__ import annotations

from collections.abc import Iterable
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


def head_of(model: PreTrainedModel) -> list[str]:
    """Names of the modules and parameters that are not of the body, as the model has them.

    T5's head of spans stands beside the parts of the body, which have no common name: its stacks and its table.
    """
    if hasattr(model, model.base_model_prefix) or not model.base_model_prefix:
        body = model.base_model_prefix + "."
        names = [name.split(".")[0] for name, _ in model.named_parameters() if not name.startswith(body)]
        return list(dict.fromkeys(names))
    table = model.get_input_embeddings()
    parts = (name for name, part in model.named_children() if part is not table and not hasattr(part, "base_model"))
    return list(parts)


def as_loaded(model: PreTrainedModel, names: Iterable[str]) -> set[str]:
    """What transformers makes of a checkpoint's names where a family is called otherwise since: ViT's `encoder.layer`
    is `layers`.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming

    rules = [rule for rule in get_model_conversion_mapping(model) or () if type(rule) is WeightRenaming]
    loaded = set()
    for name in names:
        for rule in rules:
            name, _ = rule.rename_source_key(name)
        loaded.add(name)
    return loaded


def forget(model: PreTrainedModel, renamed: dict[str, str]) -> None:
    """Let the model be saved under its own names: transformers would undo what it renamed when loading."""
    kept = getattr(model, "_weight_conversions", None) or []
    # an attribute of transformers' own, which it declares nowhere
    model._weight_conversions = [  # type: ignore[assignment]
        each for each in kept if not set(_listed(each.source_patterns)) & renamed.keys()
    ]


def _listed(patterns: Any) -> list[str]:
    return [patterns] if isinstance(patterns, str) else list(patterns)
