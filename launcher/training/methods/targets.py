"""Which layers a method changes: those that the recipe names, or the usual ones of the model's kind.

A choice of layers is a list of names, each of which may be the end of a full name, or a regular expression over full
names: both as peft reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from launcher.errors import PlanError, Problem, did_you_mean
from launcher.training.methods import layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Choice = list[str] | str

FUSED = (("query_key_value",), ("qkv_proj",), ("Wqkv",), ("qkv",), ("c_attn",), ("in_proj",))
"""One layer for query, key and value."""
QUERY_AND_VALUE = (
    ("query", "value"),
    ("q_proj", "v_proj"),
    ("query_proj", "value_proj"),
    ("q_lin", "v_lin"),
    ("q", "v"),
    ("q_head", "v_head"),
    ("Wq", "Wv"),
    *FUSED,
    ("convolution",),
)
"""What attention's query and value projections are called in models unknown to peft; last, what networks of
convolutions have instead."""
KEY_AND_VALUE = (
    ("key", "value"),
    ("k_proj", "v_proj"),
    ("key_proj", "value_proj"),
    ("k_lin", "v_lin"),
    ("k", "v"),
    ("k_head", "v_head"),
    ("Wk", "Wv"),
    *FUSED,
)
"""And its key and value projections."""
FEED_FORWARD = (
    r"(?!.*attention).*\.output\.dense",
    r".*\.mlp\.(down_proj|c_proj|Wo|fc2|dense_4h_to_h)",
    r".*\.ffn\.lin2",
    r".*\.ffn_output",
    r".*\.DenseReluDense\.wo",
    r".*\.(fc2|fc_out|layer_2)",
)
"""The last layer of each feed-forward part."""


def chosen(
    kind: str,
    model: PreTrainedModel,
    candidates: Mapping[str, nn.Module],
    new_modules: Sequence[str],
    named: Sequence[str] | None,
    usual: Iterable[Choice],
    sought: str = "query and value projections",
    field: str | None = "targets",
) -> Choice:
    """The layers `named`, which must all be there, or the first of the `usual` choices of which all are there.

    `candidates` are the layers that the method `kind` can change; `sought` says what the usual ones are, `field` where
    the recipe may name others. Raises PlanError with the names that there are.
    """
    if named is not None:
        problems = list(_wrong(kind, model, named, candidates, new_modules))
        if problems:
            raise PlanError(problems)
        return list(named)
    for choice in ([layers.TABLE], [layers.ROWS]) if model.config.model_type == layers.STATIC else usual:
        parts: list[Choice] = [choice] if isinstance(choice, str) else [[target] for target in choice]
        if all(any(matches(name, part) for name in candidates) for part in parts):
            return choice
    model_type = model.config.model_type
    lacking = f"table called {layers.TABLE!r}" if model_type == layers.STATIC else sought
    do = f"name layers in {kind}({field}=…); there are: {_listed(candidates)}"
    if field is None or not candidates:
        do = "use another method, such as LoRA"
    raise PlanError(Problem(f"{kind} finds no {lacking} in this {model_type!r} model", do=do))


def query_and_value(model: PreTrainedModel) -> Iterator[Choice]:
    """What these may be called, the likeliest first."""
    # a table of peft's since 0.2 (the documented default of LoraConfig), and then our own guesses
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    known: Mapping[str, Any] = KNOWN
    if model.config.model_type in known:
        yield known[model.config.model_type]
    yield from (list(names) for names in QUERY_AND_VALUE)


def matches(name: str, choice: Choice) -> bool:
    """Whether the full name is among the chosen."""
    if isinstance(choice, str):
        return re.fullmatch(choice, name) is not None
    return any(layers.is_called(name, target) for target in choice)


def as_pattern(choice: Choice) -> str:
    """The choice as one regular expression over full names."""
    return choice if isinstance(choice, str) else rf"(.*\.)?({'|'.join(map(re.escape, choice))})"


def _wrong(
    kind: str,
    model: PreTrainedModel,
    named: Sequence[str],
    candidates: Mapping[str, nn.Module],
    new_modules: Sequence[str],
) -> Iterator[Problem]:
    # peft complains only where *no* target is found, so one misspelt name of two would be dropped silently.
    known = layers.last_names(candidates)
    tables = any(isinstance(layer, nn.Embedding) for layer in candidates.values())
    wrong_kind = "neither a linear layer, a convolution nor an embedding table" if tables else "not a linear layer"
    for target in named:
        if any(layers.is_called(name, target) for name in candidates):
            continue
        there = [name for name, _ in model.named_modules() if layers.is_called(name, target)]
        if there and all(layers.is_inside(name, new_modules) for name in there):
            what = f"{kind} target {target!r} is new and trains whole already"
        elif there:
            what = f"{kind} target {target!r} is {wrong_kind}"
        else:
            what = f"{kind} target {target!r} is not a layer of this {model.config.model_type!r} model"
        hint = did_you_mean(target, known)
        listed = f"layers: {_listed(candidates)}"
        yield Problem(what, do=f"{hint} {listed}" if hint.startswith("did") else listed)
    if not named:
        yield Problem(f"{kind} without targets trains nothing", do=f"layers: {_listed(candidates)}")


def _listed(candidates: Mapping[str, nn.Module]) -> str:
    return ", ".join(layers.last_names(candidates))
