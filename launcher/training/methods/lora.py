"""LoRA: frozen weights W and a trained low-rank update beside them (Hu et al. 2021, arXiv 2106.09685).

A layer computes `W x + (alpha / rank) B A x`, A of shape (rank, in), B of shape (out, rank); B starts at zero
(for an embedding table, where A is looked up, A does), so the model starts as it was. rsLoRA scales by
`alpha / sqrt(rank)`; DoRA trains the length of each row of the updated weights besides. peft does the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from launcher.errors import PlanError, Problem, did_you_mean
from launcher.recipe.method import LoRA, QLoRA
from launcher.training.methods import four_bit, layers
from launcher.training.methods.peft_model import PeftMethod, train_whole

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

QUERY_AND_VALUE = (
    ("query", "value"),
    ("q_proj", "v_proj"),
    ("query_proj", "value_proj"),
    ("q_lin", "v_lin"),
    ("q", "v"),
    ("q_head", "v_head"),
    ("Wq", "Wv"),
    ("query_key_value",),
    ("qkv_proj",),
    ("Wqkv",),
    ("qkv",),
    ("c_attn",),
    ("in_proj",),
)
"""What attention's query and value projections are called in models unknown to peft."""


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

        candidates = layers.frozen_layers(model, new_modules)
        if self.method.targets is None:
            targets = _default_targets(model, candidates)
        else:
            targets = list(self.method.targets)
            _check_targets(model, targets, candidates, new_modules)
        matched = [layer for name, layer in candidates.items() if _matches(name, targets)]
        return self.config_class()(
            **self.config_values(),  # type: ignore[arg-type]  # alpha is annotated int, used as a factor
            lora_dropout=self.method.dropout,
            target_modules=targets,
            modules_to_save=list(new_modules) or None,
            # GPT-2 keeps its weights as (in, out); peft would detect it too, with a warning for each layer.
            fan_in_fan_out=bool(matched) and all(isinstance(layer, Conv1D) for layer in matched),
        )


@dataclass(frozen=True)
class LowRankInFourBits(LowRank):
    """QLoRA at work."""

    def base(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PreTrainedModel:
        """Its linear layers in 4 bits, but for those that train whole."""
        return four_bit.quantise(model, train_whole(model, self.method, new_modules))


def _matches(name: str, targets: list[str] | str) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(layers.is_called(name, target) for target in targets)


def _default_targets(model: PreTrainedModel, candidates: Mapping[str, nn.Module]) -> list[str] | str:
    model_type = model.config.model_type
    if model_type == layers.STATIC:
        choices: list[list[str] | str] = [[layers.TABLE]]
    else:
        # A table of peft's since 0.2 (the documented default of LoraConfig), and then our own guesses.
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

        known: Mapping[str, Any] = KNOWN
        choices = [known[model_type]] if model_type in known else []
        choices += [list(names) for names in QUERY_AND_VALUE]
    for choice in choices:
        parts = [choice] if isinstance(choice, str) else [[target] for target in choice]
        if all(any(_matches(name, part) for name in candidates) for part in parts):
            return choice
    raise PlanError(
        Problem(
            f"LoRA finds no query and value projections in this {model_type!r} model"
            if model_type != layers.STATIC
            else f"LoRA finds no table called {layers.TABLE!r} in this {model_type!r} model",
            do="name layers in LoRA(targets=…); there are: " + ", ".join(layers.last_names(candidates)),
        )
    )


def _check_targets(
    model: PreTrainedModel,
    targets: Sequence[str],
    candidates: Mapping[str, nn.Module],
    new_modules: Sequence[str],
) -> None:
    # peft complains only where *no* target is found, so one misspelt name of two would be dropped silently.
    known = layers.last_names(candidates)
    problems = []
    for target in targets:
        if any(layers.is_called(name, target) for name in candidates):
            continue
        there = [name for name, _ in model.named_modules() if layers.is_called(name, target)]
        if there and all(layers.is_inside(name, new_modules) for name in there):
            what = f"LoRA target {target!r} is new and trains whole already"
        elif there:
            what = f"LoRA target {target!r} is neither a linear layer nor an embedding table"
        else:
            what = f"LoRA target {target!r} is not a layer of this {model.config.model_type!r} model"
        hint = did_you_mean(target, known)
        listed = "layers: " + ", ".join(known)
        problems.append(Problem(what, do=f"{hint} {listed}" if hint.startswith("did") else listed))
    if not targets:
        problems.append(Problem("LoRA without targets trains nothing", do="layers: " + ", ".join(known)))
    if problems:
        raise PlanError(problems)
