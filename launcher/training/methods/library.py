"""Methods that are peft's with a configuration of their own: AdaLoRA (its life is in `adalora`), IA3, VeRA, OFT, and
`NewTokens`, a LoRA of no layers: what trains are new modules (`model_parts.grown_table`).

IA3 scales what layers put out (or take in) by a vector l that starts at one. VeRA computes `W x + b * B (d * A x)` with
frozen, random A and B that all layers share; b starts at zero. OFT computes `W R x`, R orthogonal in blocks: the
Cayley transform of a skew-symmetric matrix that starts at zero. So every model starts as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from torch import nn

from launcher.errors import PlanError, Problem
from launcher.recipe.method import IA3, OFT, AdaLoRA, NewTokens, VeRA
from launcher.training.methods import layers, targets
from launcher.training.methods.peft_model import PeftMethod

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

NO_LAYERS = "dummy-target-modules"
"""What peft takes for: it may find none."""
UNKNOWN = 1 << 40
"""Steps of a run that has not begun."""


@dataclass(frozen=True)
class OfLibrary(PeftMethod):
    """One of them at work."""

    method: AdaLoRA | IA3 | VeRA | OFT | NewTokens

    @property
    def noun(self) -> AdaLoRA | IA3 | VeRA | OFT | NewTokens:
        """What the recipe says."""
        return self.method

    def config_values(self) -> Mapping[str, object]:
        """What a loaded model must agree on."""
        match self.method:
            case AdaLoRA(rank=rank, start_rank=start, alpha=alpha):
                return {"init_r": start, "target_r": rank, "lora_alpha": alpha}
            case IA3():
                return {}
            case VeRA():
                return {"r": self.method.rank}
            case OFT():
                # exact: the sum of a few powers that peft would take instead is orthogonal near the start only
                return {"oft_block_size": self.method.block_size, "use_cayley_neumann": False}
            case NewTokens():
                return {"target_modules": NO_LAYERS}
            case _:
                assert_never(self.method)

    def config_class(self) -> type[PeftConfig]:
        """peft's own configuration."""
        from peft import AdaLoraConfig, IA3Config, LoraConfig, OFTConfig, VeraConfig

        match self.method:
            case AdaLoRA():
                return AdaLoraConfig
            case IA3():
                return IA3Config
            case VeRA():
                return VeraConfig
            case OFT():
                return OFTConfig
            case NewTokens():
                return LoraConfig
            case _:
                assert_never(self.method)

    def config(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PeftConfig:
        """peft's configuration with the targets resolved. Raises PlanError for a target the model lacks."""
        from transformers.pytorch_utils import Conv1D

        candidates = self._candidates(model, new_modules)
        values: dict[str, Any] = dict(self.config_values())
        match self.method:
            case IA3():
                values |= self._scaled(model, candidates, new_modules)
            case AdaLoRA() | VeRA() | OFT():
                values["target_modules"] = targets.chosen(
                    self.method.kind,
                    model,
                    candidates,
                    new_modules,
                    self.method.targets,
                    targets.query_and_value(model),
                )
            case NewTokens():
                pass
            case _:
                assert_never(self.method)
        matched = {n: layer for n, layer in candidates.items() if targets.matches(n, values["target_modules"])}
        if isinstance(self.method, OFT):
            values["r"] = 0  # peft takes the number of blocks, or their size
            _refuse_uneven(self.method, matched)
        elif matched and all(isinstance(layer, Conv1D) for layer in matched.values()):
            values["fan_in_fan_out"] = True
        match self.method:
            case VeRA(dropout=dropout):
                values["vera_dropout"] = dropout
            case AdaLoRA(dropout=dropout, every=every):
                values |= {"lora_dropout": dropout, "deltaT": every, "total_step": UNKNOWN}
        values["modules_to_save"] = list(new_modules) or None
        return self.config_class()(**values)

    def _candidates(self, model: PreTrainedModel, new_modules: Sequence[str]) -> dict[str, nn.Module]:
        """The layers that peft can change by this method."""
        if not isinstance(self.method, OFT):
            return layers.linear_layers(model, new_modules)
        found = layers.frozen_layers(model, new_modules)
        return {name: layer for name, layer in found.items() if isinstance(layer, nn.Linear | nn.Embedding)}

    def _scaled(
        self, model: PreTrainedModel, candidates: Mapping[str, nn.Module], new_modules: Sequence[str]
    ) -> dict[str, str]:
        """IA3's two kinds of layers."""
        assert isinstance(self.method, IA3)
        attention = [list(names) for names in targets.KEY_AND_VALUE]
        outputs, inputs = (
            targets.as_pattern(targets.chosen("IA3", model, candidates, new_modules, named, usual, sought, field))
            for named, usual, sought, field in (
                (self.method.targets, attention, "key and value projections", "targets"),
                (self.method.feed_forward, targets.FEED_FORWARD, "feed-forward layers", "feed_forward"),
            )
        )
        return {"target_modules": f"{outputs}|{inputs}", "feedforward_modules": inputs}


def _refuse_uneven(method: OFT, matched: Mapping[str, nn.Module]) -> None:
    """peft would take another size of blocks, with a warning."""
    size = method.block_size
    inputs = {name: layers.inputs(layer) for name, layer in matched.items()}
    wrong = {name: width for name, width in inputs.items() if width % size}
    if wrong:
        name, width = next(iter(wrong.items()))
        fitting = [n for n in range(2, 2 * size + 1) if all(width % n == 0 for width in inputs.values())]
        near = ", ".join(str(n) for n in sorted(fitting, key=lambda n: abs(n - size))[:3])
        raise PlanError(
            Problem(
                f"OFT(block_size={size}): {name} has {width} inputs, which are no whole number of such blocks",
                do=f"use {near}" if near else "name other layers in OFT(targets=…)",
            )
        )
