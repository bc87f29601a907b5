"""The bottleneck layer as a PEFT method, so that peft wraps, saves and loads it like its own.

A wrapped layer computes `h = base(x)` and puts out `h + scale * up(act(down(h)))`, or with the input of an earlier
layer in place of the second h where it stands beside that part: h of shape (…, width), `down` of
(width, bottleneck), `up` of (bottleneck, width), both with a bias (Houlsby et al. 2019, arXiv 1902.00751).
`up` starts at zero, so the model starts exactly as it was; `down` starts as torch's nn.Linear does (uniform
within 1/sqrt(width)), as in He et al. 2022 (arXiv 2110.04366): unlike a fixed deviation it suits any width.

It imports peft when it is imported. Weights saved with it can be loaded by peft alone once `register()` has run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftConfig, PeftType
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

from launcher.training.methods import layers, peft_types

NAME = "BOTTLENECK"
PREFIX = "bottleneck_"
LAST_NUMBER = re.compile(r".*\.\d+\.")
"""The start of a full name up to the block that the layer is in."""
NO_MERGE = "a bottleneck adapter is not linear and cannot be merged into the layer before it"


@dataclass
class BottleneckConfig(PeftConfig):
    """What `adapter_config.json` holds: the adapter's fields and where it goes."""

    bottleneck: int = field(default=64, metadata={"help": "Width of the middle."})
    activation: str = field(default="relu", metadata={"help": "Non-linearity of the middle: relu or gelu."})
    placement: str = field(default="pfeiffer", metadata={"help": "Where the layers stand; for the reader."})
    scale: float = field(default=1.0, metadata={"help": "What the output counts by."})
    entry: str | None = field(
        default=None, metadata={"help": "The layer, named within its block, whose input is read: beside that part."}
    )
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "Names of the wrapped layers, or a regular expression over them."}
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "New modules that train whole and are saved with the adapter."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]  # peft leaves it without types
        self.peft_type = PeftType(NAME)


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """One wrapped layer: the base, and down and up for each adapter's name."""

    adapter_layer_names: tuple[str, ...] = ("bottleneck_down", "bottleneck_up")
    other_param_names: tuple[str, ...] = ()

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: BottleneckConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self.activations: dict[str, str] = {}
        self.scale, self.beside = config.scale, config.entry is not None
        self.entered: torch.Tensor | None = None
        self.add(adapter_name, config)

    def add(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add one adapter, at the base layer's device and dtype. Raises ValueError for a wrong activation."""
        if config.activation not in ("relu", "gelu"):
            raise ValueError(f"activation is {config.activation!r}; known: relu, gelu")
        width = layers.width(self.get_base_layer())
        up = nn.Linear(config.bottleneck, width)
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
        self.bottleneck_down[adapter_name] = nn.Linear(width, config.bottleneck)
        self.bottleneck_up[adapter_name] = up
        self.activations[adapter_name] = config.activation
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The base layer's output (…, width), plus what the active adapters make of it."""
        hidden: torch.Tensor = self.base_layer(*args, **kwargs)
        if self.disable_adapters:
            return hidden
        result = hidden
        for name in self.active_adapters:
            if name in self.bottleneck_down:
                middle = self.bottleneck_down[name](self.entered if self.beside else hidden)
                middle = middle.relu() if self.activations[name] == "relu" else nn.functional.gelu(middle)
                result = result + self.bottleneck_up[name](middle) * self.scale
        self.entered = None
        return result

    def enter(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        """Hear what goes into the part that this one stands beside (a hook on that part's first layer)."""
        self.entered = inputs[0]

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Impossible: there is no weight of the base layer that would compute the same. Raises ValueError."""
        raise ValueError(NO_MERGE)

    def unmerge(self) -> None:
        """Nothing can have been merged. Raises ValueError."""
        raise ValueError(NO_MERGE)


class BottleneckModel(BaseTuner):
    """The model with its target layers wrapped; everything else of a tuner is peft's."""

    prefix = PREFIX
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 (peft declares it so)

    def _create_and_replace(  # type: ignore[override]  # the configuration is always our own
        self,
        peft_config: BottleneckConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.add(adapter_name, peft_config)
            return
        layer = BottleneckLayer(target, adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)
        if peft_config.entry is not None:
            block = current_key[: LAST_NUMBER.match(current_key).end()]  # type: ignore[union-attr]  # layers are numbered
            self.model.get_submodule(block + peft_config.entry).register_forward_pre_hook(layer.enter)

    def _check_merge_allowed(self) -> None:
        raise ValueError(NO_MERGE)


def register() -> None:
    """Register the method with peft; a second call does nothing. Raises KeyError if peft has one of that name."""
    peft_types.register(NAME, BottleneckConfig, BottleneckModel, PREFIX)
