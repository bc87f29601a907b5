"""Bottleneck adapters: where they go in which model.

Houlsby et al. 2019 (arXiv 1902.00751) put one after the attention and one after the feed-forward part of each
layer; Pfeiffer et al. 2021 (arXiv 2005.00247) reported the second alone to be as good. Both come after the part's
output projection and before its residual connection. He et al. 2022 (arXiv 2110.04366) put one beside the feed-forward
part: from what goes in there to what comes out. `bottleneck.py` has the layer itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from launcher.errors import PlanError, Problem, did_you_mean
from launcher.recipe.method import Adapter
from launcher.training.methods import layers
from launcher.training.methods.peft_model import PeftMethod

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from launcher.training.methods.bottleneck import BottleneckConfig


@dataclass(frozen=True)
class Layout:
    """Output projections of one layer, by the end of their full name (regular expressions), and the plain name within
    the layer of what the feed-forward part begins with."""

    attention: str
    feed_forward: str
    entry: str


BART = Layout(r"layers\.\d+\.(self_attn|encoder_attn)\.out_proj", r"layers\.\d+\.fc2", "fc1")
T5 = Layout(r"layer\.\d+\.(SelfAttention|EncDecAttention)\.o", r"layer\.\d+\.DenseReluDense\.wo", "DenseReluDense.wi")
BERT = Layout(r"layer\.\d+\.attention\.output\.dense", r"layer\.\d+\.output\.dense", "intermediate.dense")
LLAMA = Layout(r"layers\.\d+\.self_attn\.o_proj", r"layers\.\d+\.mlp\.down_proj", "mlp.gate_proj")
ALBERT = r"albert_layer_groups\.\d+\.albert_layers\.\d+\."

LAYOUTS: dict[str, Layout] = {
    # ALBERT uses one layer many times over, and so one adapter: its depth shares them as it shares the rest.
    "albert": Layout(ALBERT + r"attention\.dense", ALBERT + "ffn_output", "ffn"),
    "bert": BERT,
    "camembert": BERT,
    "deberta": BERT,
    "deberta-v2": BERT,
    "distilbert": Layout(r"layer\.\d+\.attention\.out_lin", r"layer\.\d+\.ffn\.lin2", "ffn.lin1"),
    "electra": BERT,
    "ernie": BERT,
    "gemma": LLAMA,
    "gemma2": LLAMA,
    "gemma3_text": LLAMA,
    "gpt2": Layout(r"h\.\d+\.attn\.c_proj", r"h\.\d+\.mlp\.c_proj", "mlp.c_fc"),
    "llama": LLAMA,
    "mistral": LLAMA,
    "modernbert": Layout(r"layers\.\d+\.attn\.Wo", r"layers\.\d+\.mlp\.Wo", "mlp.Wi"),
    "mpnet": Layout(r"layer\.\d+\.attention\.attn\.o", r"layer\.\d+\.output\.dense", "intermediate.dense"),
    "phi3": replace(LLAMA, entry="mlp.gate_up_proj"),
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "roberta": BERT,
    "roformer": BERT,
    "vit": Layout(r"layers\.\d+\.attention\.o_proj", r"layers\.\d+\.mlp\.fc2", "mlp.fc1"),
    "xlm-roberta": BERT,
}
TWO_STACKS: dict[str, Layout] = {
    **dict.fromkeys(("bart", "m2m_100", "marian", "mbart", "pegasus"), BART),
    **dict.fromkeys(("mt5", "t5"), T5),
}
"""Of encoder-decoders: an adapter stands behind each attention of the decoder, too."""
KNOWN = {**LAYOUTS, **TWO_STACKS}


@dataclass(frozen=True)
class Bottlenecks(PeftMethod):
    """The adapter at work."""

    method: Adapter

    @property
    def noun(self) -> Adapter:
        """What the recipe says."""
        return self.method

    def config_values(self) -> Mapping[str, object]:
        """The adapter's own fields."""
        return {
            "bottleneck": self.method.bottleneck,
            "activation": self.method.activation,
            "placement": self.method.placement,
            "scale": self.method.scale,
        }

    def config_class(self) -> type[BottleneckConfig]:
        """Our own configuration, which peft knows from now on."""
        from launcher.training.methods.bottleneck import BottleneckConfig, register

        register()
        return BottleneckConfig

    def config(self, model: PreTrainedModel, new_modules: Sequence[str]) -> BottleneckConfig:
        """The configuration for this model. Raises PlanError for a model type without a layout."""
        target = self._target(model)
        if not any(re.fullmatch(target, name) for name in layers.frozen_layers(model, new_modules)):
            raise PlanError(
                Problem(
                    f"the adapter finds none of its layers in this {model.config.model_type!r} model",
                    do=f"it looks for linear layers or tables named {target}",
                )
            )
        return self.config_class()(
            **self.config_values(),  # type: ignore[arg-type]  # each is of the field's type
            entry=self._entry(model.config),
            target_modules=target,
            modules_to_save=list(new_modules) or None,
        )

    def _target(self, model: PreTrainedModel) -> str:
        """A regular expression over full names. Static vectors have one position: behind their table."""
        model_type = _kind(model.config)
        if model_type == layers.STATIC:
            of_subwords = any(name == layers.ROWS for name, _ in model.named_modules())
            return rf"(.*\.)?{re.escape(layers.ROWS if of_subwords else layers.TABLE)}"
        if model_type not in KNOWN:
            known = [*KNOWN, layers.STATIC]
            hint = did_you_mean(model_type, known)
            listed = "use LoRA, or a model of type " + ", ".join(sorted(known))
            raise PlanError(
                Problem(
                    f"adapters do not know the layers of models of type {model_type!r}",
                    do=f"{hint} {listed}" if hint.startswith("did") else listed,
                )
            )
        layout = KNOWN[model_type]
        match self.method.placement:
            case "houlsby":
                return rf"(.*\.)?({layout.attention}|{layout.feed_forward})"
            case "pfeiffer" | "parallel":
                return rf"(.*\.)?{layout.feed_forward}"
            case placement:
                assert_never(placement)

    def _entry(self, config: PretrainedConfig) -> str | None:
        """What a bottleneck beside takes the input of; a table has none but the token itself."""
        if self.method.placement != "parallel":
            return None
        layout = KNOWN[_kind(config)]
        gated = layout is T5 and config.is_gated_act  # there are two of them then
        return f"{layout.entry}_0" if gated else layout.entry


def _kind(config: PretrainedConfig) -> str:
    """The model's type; of two encoders of which one is a decoder the one that this one is of."""
    joined = config.model_type == "encoder-decoder"
    kind: str = config.decoder.model_type if joined else config.model_type
    return kind
