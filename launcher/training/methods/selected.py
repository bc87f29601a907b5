"""The methods that add nothing and choose among a pretrained model's own parameters which ones train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, assert_never

from torch import Tensor, nn

from launcher.errors import PlanError, Problem
from launcher.recipe.method import BitFit, Freeze, Full, HeadOnly, TopLayers
from launcher.training.methods import layers
from launcher.training.methods.base import MethodWork
from launcher.training.model_parts import batch_norm
from launcher.training.model_parts.word_place import has_own_head, never_asked

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Selection(MethodWork):
    """The choice at work; a saved model is whole."""

    saves_whole: ClassVar[bool] = True
    method: Full | BitFit | TopLayers | HeadOnly | Freeze

    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PreTrainedModel:
        """Let what the method names and every new module require a gradient, nothing else; the same object.

        Raises PlanError where the model lacks what the method names.
        """
        names = [name for name, _ in model.named_parameters() if not layers.is_inside(name, new_modules)]
        chosen = set(names) if isinstance(self.method, Full) else set(_chosen(model, self.method, names))
        for name, parameter in model.named_parameters():
            wanted = name in chosen or layers.is_inside(name, new_modules)
            parameter.requires_grad_(wanted and not layers.is_inside(name, never_asked(model)))
        return model

    def state(self, model: nn.Module) -> Mapping[str, Tensor]:
        """The running statistics of batch normalisation, where it trains."""
        return batch_norm.state(model)

    def save(self, model: nn.Module, folder: Path) -> None:
        """As transformers does."""
        model.save_pretrained(folder)  # type: ignore[operator]  # a PreTrainedModel, as `apply` returned it

    def load_saved(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """Never: transformers loads it. Raises ValueError."""
        raise ValueError("a model that was saved whole is loaded with from_pretrained, not with load_saved")


def _chosen(model: PreTrainedModel, method: BitFit | TopLayers | HeadOnly | Freeze, names: list[str]) -> Iterator[str]:
    """Which of these parameters, all of what is not new, train."""
    match method:
        case HeadOnly():
            yield from _own_head(model, names)
        case BitFit():
            biases = [name for name in names if name.rpartition(".")[2] == "bias"]
            if not biases:
                what = f"BitFit trains biases, and this {model.config.model_type!r} model has none"
                raise PlanError(Problem(what, do="use LoRA, or HeadOnly"))
            yield from biases
        case TopLayers():
            top = _top(model, method.layers)
            yield from (name for name in names if layers.is_inside(name, top))
        case Freeze():
            frozen = _named(method, model, names)
            yield from (name for name in names if name not in frozen)
        case _:
            assert_never(method)


def _own_head(model: PreTrainedModel, names: list[str]) -> list[str]:
    """What is not new and stands outside of the body: the head that a language model came with.

    A table of tokens that it shares with the body is of the body. Raises PlanError where nothing else is in it.
    """
    if not has_own_head(model):
        return []
    head = [name for name in names if not layers.is_inside(name, _body(model))]
    if not head:
        what = f"HeadOnly trains the head, and that of this {model.config.model_type!r} model is its table of tokens"
        raise PlanError(Problem(what, do="use LoRA, TopLayers or Full"))
    return head


def _body(model: PreTrainedModel) -> list[str]:
    """The name of the model's body, or of its parts where these have no common one, as in T5: stacks and table."""
    if hasattr(model, model.base_model_prefix):
        return [model.base_model_prefix]
    parts = (model.get_encoder(), model.get_decoder(), model.get_input_embeddings())
    return [name for name, module in model.named_modules() if name and any(module is part for part in parts)]


def _top(model: PreTrainedModel, number: int) -> Sequence[str]:
    """Names of the last layers, as many as the recipe wants."""
    from launcher.training.model_parts.layer_list import Series

    kind, stack, inside = model.config.model_type, model, ""
    if model.config.is_encoder_decoder:  # what writes has the top
        stack = model.get_decoder()
        inside = next(name for name, module in model.named_modules() if module is stack) + "."
    series = Series.of(stack)
    if not series.layers:
        what = f"TopLayers finds no row of equal layers in this {kind!r} model"
        raise PlanError(Problem(what, do="name what stays as it is: Freeze(pattern=…)"))
    if number > series.layers:
        what = f"TopLayers(layers={number}): this {kind!r} model has {series.layers}"
        raise PlanError(Problem(what, do=f"give at most {series.layers}; to train all that there is, use Full"))
    return [inside + name for name in series.names[-number:]]


def _named(method: Freeze, model: PreTrainedModel, names: list[str]) -> set[str]:
    """The parameters that a pattern names. Raises PlanError for each pattern that names none."""
    patterns = [method.pattern] if isinstance(method.pattern, str) else list(method.pattern)
    holders = {name: _path(name) for name in names}
    frozen: set[str] = set()
    problems = []
    for pattern in patterns:
        matches = {name for name, path in holders.items() if any(layers.is_named(part, pattern) for part in path)}
        frozen |= matches
        if not matches:
            everything = {part for name, _ in model.named_parameters() for part in _path(name)}
            if any(layers.is_named(part, pattern) for part in everything):
                what, hint = f"Freeze pattern {pattern!r} names new layers only", "they train under every method"
            else:
                what = f"Freeze pattern {pattern!r} names nothing in this {model.config.model_type!r} model"
                hint = layers.nearest_name(pattern, {part for path in holders.values() for part in path})
            problems.append(Problem(what, do=hint))
    if problems:
        raise PlanError(problems)
    return frozen


def _path(name: str) -> list[str]:
    """`a.b.c` and the modules that hold it: `a`, `a.b`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
