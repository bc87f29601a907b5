"""Virtual tokens as PEFT methods, so that peft wraps, saves and loads them like its own. It imports peft.

A prompt is wrapped around the body of a model: the vectors [tokens, width] are put among those of the text, and the
states of these places are taken out again before a head sees them. So every head gets as many states as the text has
tokens. A prefix is wrapped around each attention: keys and values [tokens, width] are put before those of the text,
where attention is computed; no head and no mask of the model changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftConfig, PeftType
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn

from launcher.errors import Problem, WorkerError
from launcher.training.methods import layers, peft_types, targets

ATTENTION = "launcher_prefix"
"""The name that transformers knows our attention by."""
VALUES = frozenset(names[-1] for names in targets.KEY_AND_VALUE if names not in targets.FUSED)
"""What projections of values are called."""
SPREAD = 0.02
"""Deviation of what is drawn, as transformers draws embeddings."""


@dataclass
class VirtualConfig(PeftConfig):
    """What `adapter_config.json` holds of both."""

    tokens: int = field(default=20, metadata={"help": "How many virtual tokens."})
    target_modules: list[str] | str | None = field(default=None, metadata={"help": "The wrapped modules."})
    modules_to_save: list[str] | None = field(default=None, metadata={"help": "New modules that train whole."})


@dataclass
class PromptConfig(VirtualConfig):
    """Of prompt tuning."""

    hidden: int | None = field(default=None, metadata={"help": "Units of the network that makes the vectors."})

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]  # peft leaves it without types
        self.peft_type = PeftType("LAUNCHER_PROMPT")


@dataclass
class PrefixConfig(VirtualConfig):
    """Of prefix tuning."""

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]  # peft leaves it without types
        self.peft_type = PeftType("LAUNCHER_PREFIX")


class Prompt(nn.Module):
    """The vectors, or what makes them."""

    def __init__(self, tokens: int, table: nn.Module, hidden: int | None) -> None:
        super().__init__()
        width, rows = layers.width(table), len(next(table.parameters()))
        # what the table gives for some of its rows: such vectors the model knows (Lester et al. 2021, section 2.1)
        self.vectors = nn.Parameter(table(torch.randint(rows, (tokens,))).detach().clone())
        self.network: nn.Module = nn.Identity()
        if hidden is not None:
            parts = (nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, width))
            self.network = nn.Sequential(parts[0], nn.ReLU(), parts[1], nn.ReLU(), parts[2])

    def forward(self, vectors: Tensor, place: int) -> Tensor:
        """Vectors [rows, length, width] of texts, with the prompt put in at a place of each."""
        prompt = self.network(self.vectors).to(vectors.dtype).expand(len(vectors), -1, -1)
        return torch.cat([vectors[:, :place], prompt, vectors[:, place:]], dim=1)


class Prefix(nn.Module):
    """Keys and values of one layer."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.empty(tokens, width).normal_(0, SPREAD))
        self.values = nn.Parameter(torch.empty(tokens, width).normal_(0, SPREAD))

    def forward(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, heads, length, width of a head] with the prefix before them."""
        rows, heads, _, width = keys.shape
        own = (states.view(-1, heads, width).transpose(0, 1).to(keys.dtype) for states in (self.keys, self.values))
        return tuple(  # type: ignore[return-value]  # of two
            torch.cat([states.expand(rows, -1, -1, -1), given], dim=2)
            for states, given in zip(own, (keys, values), strict=True)
        )


class Held(nn.Module):
    """A body within what it is wrapped in: peft lets no direct part of a wrapped module train whole."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        """Whoever asks for a part of the body gets it."""
        return super().__getattr__(name) if name == "inner" else getattr(super().__getattr__("inner"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the body's."""
        return self.inner(*args, **kwargs)


class VirtualLayer(nn.Module, BaseTunerLayer):
    """One wrapped module, and what is added to it for each adapter's name."""

    adapter_layer_names: tuple[str, ...] = ("virtual_tokens",)
    other_param_names: tuple[str, ...] = ()

    def __init__(self, base_layer: nn.Module, adapter_name: str, added: nn.Module, inference: bool) -> None:
        super().__init__()
        self.base_layer = base_layer
        like = next(base_layer.parameters())
        self.virtual_tokens = nn.ModuleDict({adapter_name: added.to(like.device, like.dtype)})
        self.set_adapter(self.active_adapters, inference_mode=inference)

    def __getattr__(self, name: str) -> Any:
        """Whoever asks for a part of the wrapped module gets it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(super().__getattr__("base_layer"), name)

    @property
    def in_use(self) -> nn.Module | None:
        """What is added now."""
        return None if self.disable_adapters else self.virtual_tokens[self.active_adapters[0]]

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Impossible: no weight of the model would compute the same. Raises ValueError."""
        raise ValueError("virtual tokens cannot be merged into a model's weights")

    def unmerge(self) -> None:
        """Nothing can have been merged. Raises ValueError."""
        raise ValueError("virtual tokens cannot be merged into a model's weights")


class PromptedBody(VirtualLayer):
    """The body of a model with a prompt."""

    def __init__(self, base_layer: nn.Module, adapter_name: str, added: Prompt, inference: bool) -> None:
        super().__init__(Held(base_layer), adapter_name, added, inference)
        self.tokens = added.vectors.shape[0]
        # whoever listens to what the body gives must hear what a head sees: the states of the text alone
        self._forward_hooks, base_layer._forward_hooks = base_layer._forward_hooks, self._forward_hooks
        self.place = 0 if any(getattr(module, "is_causal", False) for module in base_layer.modules()) else 1

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **others: Any) -> Any:
        """What the body gives for the texts with the prompt, without the states of the prompt."""
        added = self.in_use
        if added is None:
            return self.base_layer(input_ids=input_ids, attention_mask=attention_mask, **others)
        given = others.pop("inputs_embeds", None)
        vectors = self.base_layer.get_input_embeddings()(input_ids) if given is None else given  # type: ignore[operator]
        cache = others.get("cache", others.get("past_key_values"))  # while a text is written, token by token
        read = 0 if cache is None else int(cache.get_seq_length())
        goes_on = read > 0  # then the prompt is among what was read
        long = vectors if goes_on else added(vectors, self.place)
        tokens = self.tokens
        if attention_mask is None:
            before = read - tokens if goes_on else 0
            attention_mask = vectors.new_ones((len(vectors), before + vectors.shape[1]), dtype=torch.int64)
        attention_mask = self._spread(attention_mask, tokens, 1)
        for name in ("token_type_ids", "global_attention_mask"):
            if others.get(name) is not None:
                others[name] = self._spread(others[name], tokens, 0)
        if cache is not None and others.get("position_ids") is not None:
            numbers = others["position_ids"] + tokens
            own = torch.arange(tokens, device=numbers.device).expand(len(numbers), -1)
            others["position_ids"] = numbers if goes_on else torch.cat([own, numbers], dim=1)
        output = self.base_layer(inputs_embeds=long, attention_mask=attention_mask, **others)
        if not goes_on:
            states = output.last_hidden_state
            output.last_hidden_state = torch.cat([states[:, : self.place], states[:, self.place + tokens :]], dim=1)
        return output

    def _spread(self, numbers: Tensor, tokens: int, value: int) -> Tensor:
        """One number for each token [rows, length], with the prompt's put in."""
        own = numbers.new_full((len(numbers), tokens), value)
        return torch.cat([numbers[:, : self.place], own, numbers[:, self.place :]], dim=1)


class PrefixedAttention(VirtualLayer):
    """One attention with a prefix."""

    def __init__(self, base_layer: nn.Module, adapter_name: str, added: nn.Module, inference: bool) -> None:
        super().__init__(base_layer, adapter_name, added, inference)
        base_layer.__dict__["prefixed_by"] = self  # not a part of it
        self.asked = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the attention's. Raises WorkerError where it never came to our way of computing it."""
        self.asked = False
        output = self.base_layer(*args, **kwargs)
        if not self.asked:
            what = f"{type(self.base_layer).__name__} computes attention in a way that takes no prefixes"
            raise WorkerError(Problem(what, do="use PromptTuning, or LoRA"))
        return output


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Torch's attention with the module's prefix before its keys and values; every query sees all of the prefix."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    layer: PrefixedAttention | None = module.__dict__.get("prefixed_by")
    added = None if layer is None else layer.in_use
    if layer is not None:
        layer.asked = True
    if added is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, is_causal=is_causal, **others)
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    length, before = key.shape[2], key.shape[2]
    if attention_mask is None and causal and query.shape[2] > 1:
        attention_mask = torch.ones(query.shape[2], length, dtype=torch.bool, device=key.device).tril()[None, None]
    key, value = added(key, value)
    tokens = key.shape[2] - before
    if attention_mask is not None:
        seen = True if attention_mask.dtype == torch.bool else 0.0
        attention_mask = nn.functional.pad(attention_mask, (tokens, 0), value=seen)
    return sdpa_attention_forward(module, query, key, value, attention_mask, is_causal=False, **others)


class VirtualModel(BaseTuner):
    """The model with its wrapped modules; everything else of a tuner is peft's."""

    prefix = "virtual_"
    tuner_layer_cls = VirtualLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 (peft declares it so)

    def _create_and_replace(  # type: ignore[override]  # the configuration is always our own
        self,
        peft_config: PromptConfig | PrefixConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        inference = peft_config.inference_mode
        if isinstance(peft_config, PromptConfig):
            prompt = Prompt(peft_config.tokens, target.get_input_embeddings(), peft_config.hidden)  # type: ignore[operator]
            layer: VirtualLayer = PromptedBody(target, adapter_name, prompt, inference)
        else:
            prefix = Prefix(peft_config.tokens, value_width(target))
            layer = PrefixedAttention(target, adapter_name, prefix, inference)
        setattr(parent, target_name, layer)

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        if isinstance(config, PrefixConfig):
            model.set_attn_implementation(ATTENTION)  # type: ignore[operator]  # a PreTrainedModel

    def _check_merge_allowed(self) -> None:
        raise ValueError("virtual tokens cannot be merged into a model's weights")


def value_width(attention: nn.Module) -> int:
    """Numbers in the values of a token, over all heads."""
    for name, layer in attention.named_children():
        if name in VALUES:
            return layers.width(layer)
    fused = max((layer for layer in attention.children() if hasattr(layer, "weight")), key=layers.width)
    return layers.width(fused) // 3


def register() -> None:
    """Make both known to peft, and our attention to transformers; a second call does nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    peft_types.register("LAUNCHER_PROMPT", PromptConfig, VirtualModel, VirtualModel.prefix)
    peft_types.register("LAUNCHER_PREFIX", PrefixConfig, VirtualModel, VirtualModel.prefix)
    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
