"""Prompt and prefix tuning at work: tokens that stand in no text. `virtual_layers.py` has the layers.

peft's own are not used: on encoders its prefixes are refused and its prompts take the first token's place, which heads
answer from; outputs for tokens are longer than the text; of P-tuning it saves what the network made, not the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from launcher.errors import PlanError, Problem
from launcher.recipe.method import PrefixTuning, PromptTuning
from launcher.training.methods import layers, targets
from launcher.training.methods.peft_model import PeftMethod

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from launcher.training.methods.virtual_layers import PrefixConfig, PromptConfig

INSIDE = "base_layer.inner"
"""Where the body is once it is wrapped."""


@dataclass(frozen=True)
class Virtual(PeftMethod):
    """One of them at work."""

    method: PromptTuning | PrefixTuning

    @property
    def noun(self) -> PromptTuning | PrefixTuning:
        """What the recipe says."""
        return self.method

    def config_values(self) -> Mapping[str, object]:
        """The fields of our own configurations."""
        values = {"tokens": self.method.tokens}
        return {**values, "hidden": self.method.hidden} if isinstance(self.method, PromptTuning) else values

    def config_class(self) -> type[PromptConfig] | type[PrefixConfig]:
        """Our own configuration, which peft knows from now on."""
        from launcher.training.methods import virtual_layers

        virtual_layers.register()
        prompt = isinstance(self.method, PromptTuning)
        return virtual_layers.PromptConfig if prompt else virtual_layers.PrefixConfig

    def config(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PeftConfig:
        """The configuration for this model. Raises PlanError for one that cannot take such tokens."""
        if model.config.is_encoder_decoder:
            what = f"{self.method.kind} is for models of one stack; this {model.config.model_type!r} has two"
            raise PlanError(Problem(what, do="use LoRA"))
        if isinstance(self.method, PromptTuning):
            parts: Sequence[str] = [model.base_model_prefix]
            body, inside = f"{model.base_model_prefix}.", f"{model.base_model_prefix}.{INSIDE}."
            # by then they are in what the body is wrapped in
            new_modules = [re.sub(f"^{re.escape(body)}", inside, name) for name in new_modules]
        else:
            parts = self._attention(model, new_modules)
        target = "|".join(re.escape(name) for name in parts)
        return self.config_class()(
            **self.config_values(),  # type: ignore[arg-type]  # each is of the field's type
            target_modules=f"({target})",
            modules_to_save=list(new_modules) or None,
        )

    def _attention(self, model: PreTrainedModel, new_modules: Sequence[str]) -> list[str]:
        """The modules that compute attention: those that hold the projections of values."""
        candidates = layers.frozen_layers(model, new_modules)
        usual = [list(names) for names in targets.KEY_AND_VALUE]
        sought = "projections of values"
        chosen = targets.chosen("PrefixTuning", model, candidates, new_modules, None, usual, sought, field=None)
        assert isinstance(chosen, list)
        names = [name for name in candidates if layers.is_called(name, chosen[-1])]
        if len(chosen) == 1:
            _refuse_odd_widths(model, candidates, names)
        # a bias by distance, as T5 has, knows no distance to a prefix
        if not model._supports_attention_backend or hasattr(model.config, "relative_attention_num_buckets"):
            what = f"models of type {model.config.model_type!r} compute attention in a way that takes no prefixes"
            raise PlanError(Problem(what, do="use PromptTuning, or LoRA"))
        return [name.rpartition(".")[0] for name in names]


def _refuse_odd_widths(model: PreTrainedModel, candidates: Mapping[str, nn.Module], names: Sequence[str]) -> None:
    """Of one layer for query, key and value a third must be the values."""
    for name in names:
        if layers.width(candidates[name]) != 3 * model.config.hidden_size:
            what = f"PrefixTuning cannot tell which part of {name} makes the values in this {model.config.model_type!r}"
            raise PlanError(Problem(f"{what} model", do="use PromptTuning, or LoRA"))
