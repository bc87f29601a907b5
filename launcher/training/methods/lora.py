"""LoRA: frozen weights W and a trained low-rank update beside them (Hu et al. 2021, arXiv 2106.09685).

A layer computes `W x + (alpha / rank) B A x`, A of shape (rank, in), B of shape (out, rank); B starts at zero
(for an embedding table, where A is looked up, A does), so the model starts as it was. rsLoRA scales by
`alpha / sqrt(rank)`; DoRA trains the length of each row of the updated weights besides. peft does the work;
`starts.py` has the starts that are not zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from launcher.errors import PlanError, Problem
from launcher.recipe.method import LoRA, QLoRA
from launcher.training.methods import four_bit, layers, starts, targets
from launcher.training.methods.peft_model import PeftMethod, load, train_whole

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class LowRank(PeftMethod):
    """LoRA at work."""

    method: LoRA | QLoRA

    @property
    def noun(self) -> LoRA | QLoRA:
        """What the recipe says."""
        return self.method

    def config_values(self) -> Mapping[str, object]:
        """Rank, scale and variant; the dropout matters to no loaded model."""
        values = {"r": self.method.rank, "lora_alpha": self.method.alpha, "use_rslora": self.method.rslora}
        return {**values, "use_dora": isinstance(self.method, LoRA) and self.method.dora}

    def config_class(self) -> type[LoraConfig]:
        """peft's own configuration."""
        from peft import LoraConfig

        return LoraConfig

    def config(self, model: PreTrainedModel, new_modules: Sequence[str]) -> LoraConfig:
        """peft's configuration with the targets resolved. Raises PlanError for a target the model lacks."""
        from transformers.pytorch_utils import Conv1D

        find = layers.linear_layers if self._from_components else layers.frozen_layers
        candidates = find(model, new_modules)
        if not candidates and self._from_components:
            what = f"PiSSA takes a linear layer apart, and this {model.config.model_type!r} model has none"
            raise PlanError(Problem(what, do="leave out peft.start"))
        chosen = targets.chosen(
            self.method.kind, model, candidates, new_modules, self.method.targets, targets.query_and_value(model)
        )
        matched = [layer for name, layer in candidates.items() if targets.matches(name, chosen)]
        return self.config_class()(
            **self.config_values(),  # type: ignore[arg-type]  # alpha is annotated int, used as a factor
            lora_dropout=self.method.dropout,
            target_modules=chosen,
            modules_to_save=list(new_modules) or None,
            # GPT-2 keeps its weights as (in, out); peft would detect it too, with a warning for each layer.
            fan_in_fan_out=bool(matched) and all(isinstance(layer, Conv1D) for layer in matched),
        )

    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> nn.Module:
        """As every method's; the update starts where the recipe says."""
        changed = super().apply(model, new_modules)
        if self._from_components:
            starts.from_components(changed)
        return changed

    def save(self, model: nn.Module, folder: Path) -> None:
        """As peft does."""
        super().save(model, folder)
        if self._from_components:
            starts.double(folder, model)

    def saved_values(self) -> Mapping[str, object]:
        """Of an update that has its start with it."""
        values = dict(self.config_values())
        if self._from_components:
            values["r"], values["lora_alpha"] = starts.doubled(self.method.rank, self.method.alpha, self.method.rslora)
        return values

    def load_saved(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """What peft saved, around the base."""
        loaded = super().load_saved(model, new_modules, folder)
        if self._from_components:
            starts.halve(loaded)
        return loaded

    @property
    def _from_components(self) -> bool:
        return self.method.start == "pissa"


@dataclass(frozen=True)
class LowRankInFourBits(LowRank):
    """QLoRA at work."""

    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> nn.Module:
        """As every method's; the update starts where the recipe says."""
        before: dict[str, Tensor] = {}
        if self.method.start == "loftq":
            found = layers.frozen_layers(model, new_modules)
            before = {name: layer.weight.detach() for name, layer in found.items() if isinstance(layer, nn.Linear)}
        changed = super().apply(model, new_modules)
        starts.from_packing(changed, before)
        return changed

    def base(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PreTrainedModel:
        """Its linear layers in 4 bits, but for those that train whole."""
        return four_bit.quantise(model, train_whole(model, self.method, new_modules))

    def base_to_merge(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PreTrainedModel:
        """The weights that its 4 bits stand for."""
        return four_bit.dequantise(self.base(model, new_modules))

    def load_to_merge(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """Beside the weights that the 4 bits stand for: an update cannot be added to 4 bits and stay what it is."""
        return load(self.base_to_merge(model, new_modules), self, folder)
