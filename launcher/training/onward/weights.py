"""What a run begins with: the source's model, or that of the run that it goes on from.

Labels are append-only: the earlier run's come first, so that what it learnt of each keeps its place. A tensor that has
a row for each label (a head's, a CRF's table, the votes of n-grams) gets the earlier rows, and new ones behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from launcher.ancestor import Ancestor, ancestor
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Pretrained, Static
from launcher.recipe.task import Task, answer_of, plain
from launcher.training import sources
from launcher.training.model_parts.dropout import set_dropout
from launcher.training.onward import words
from launcher.training.read_back import read_back
from launcher.training.sealed_model import checked
from launcher.training.sources import bases, trained_head
from launcher.training.sources.heads import HEADS, PROBLEM_TYPES, same_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LISTED = 5
TABLE = "embeddings.weight"
"""Of static vectors."""


def base_model(recipe: Recipe, labels: Sequence[str], folder: Path) -> PreTrainedModel:
    """The model before a method changes it; `folder` has what was prepared of the source."""
    embedding, training = recipe.embedding, recipe.training
    if training.from_run is None:
        return sources.build_model(embedding, recipe.task, labels, folder, training.dropout)
    old = ancestor(training.from_run)
    if not isinstance(embedding, Pretrained):
        return _begun(old, recipe, labels, folder)
    model = sources.build_model(embedding, recipe.task, labels, folder, training.dropout)
    if old.whole and HEADS[plain(recipe.task).head].new:
        if not same_head(old.recipe.task, recipe.task):
            trained_head.begin_anew(model, labels)
        elif len(labels) > len(old.labels):
            _carry(_tensors_of(old.model), model, (len(old.labels), len(labels)), grown_only=True)
        model._said = ""  # type: ignore[assignment]  # `said_of_labels` says it
    return model


@torch.no_grad()
def continue_adapters(model: nn.Module, recipe: Recipe, labels: Sequence[str]) -> None:
    """Put into the model what the earlier run trained beside its base, where it did so."""
    if recipe.training.from_run is None:
        return
    old = ancestor(recipe.training.from_run)
    if old.whole or torch.get_default_device().type == "meta":
        return
    trained = dict(read_back(old.model, old.recipe, old.labels, checked(old.model)).named_parameters())
    mine = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if not same_head(old.recipe.task, recipe.task):
        new = _new_head(model, len(labels))
        mine = {name: value for name, value in mine.items() if not _inside(name, new)}
    _carry(trained, model, (len(old.labels), len(labels)), only=mine.keys())


def refuse_another_base(recipe: Recipe) -> None:
    """Raise BackendError where the base is gone, or another one, on which the earlier run trained what it added."""
    if recipe.training.from_run is None:
        return
    old = ancestor(recipe.training.from_run)
    source = old.recipe.embedding
    if isinstance(source, Pretrained) and not old.whole:
        bases.same_base(source, checked(old.model).get("base", {}))


def said_of_labels(old: Ancestor, task: Task, labels: Sequence[str]) -> str:
    """What becomes of the head, in a sentence."""
    if not same_head(old.recipe.task, task):
        theirs = old.recipe.task.kind
        return f"begins with the body of run {old.name}; its head was for {theirs}, and the one for {task.kind} is new"
    new = list(labels[len(old.labels) :])
    kept = f"begins with the model of run {old.name}, its head and labels kept"
    more = f" and {len(new) - LISTED} more" if len(new) > LISTED else ""
    return f"{kept}; new labels: {', '.join(new[:LISTED])}{more}" if new else kept


def _begun(old: Ancestor, recipe: Recipe, labels: Sequence[str], folder: Path) -> PreTrainedModel:
    """A model that is not pretrained elsewhere, of the earlier run's configuration and with its weights."""
    from transformers import AutoConfig

    task, dropout, source = plain(recipe.task), recipe.training.dropout, old.model if old.whole else old.model / "base"
    head = HEADS[task.head]
    if isinstance(recipe.embedding, Static):
        head.static_class()  # its module registers it
        from launcher.training.sources.static import fasttext_classifier as fasttext_classifier  # and itself
    config: Any = AutoConfig.from_pretrained(source, trust_remote_code=False)
    if head.new:
        config.id2label, config.label2id = dict(enumerate(labels)), {name: n for n, name in enumerate(labels)}
    config.problem_type = PROBLEM_TYPES.get(answer_of(task))
    new_words = words.rows_for(folder) - config.vocab_size if words.grows(recipe, old) else 0
    config.vocab_size += new_words
    model: PreTrainedModel = head.auto_class().from_config(config, dtype=torch.float32, trust_remote_code=False)
    if torch.get_default_device().type != "meta":
        new = [] if same_head(old.recipe.task, recipe.task) else _new_head(model, len(labels))
        names = [name for name in model.state_dict() if not _inside(name, new)]
        saved = _tensors_of(source)
        if new_words:
            saved[TABLE] = torch.cat([saved[TABLE], _of_new_words(model, new_words, folder)])
        _carry(saved, model, (len(old.labels), len(labels)), only=names)
    if dropout is not None:
        set_dropout(model, dropout)
    fitted: PreTrainedModel = model if isinstance(recipe.embedding, Static) else head.fitted(model)
    return fitted


def _of_new_words(model: PreTrainedModel, count: int, folder: Path) -> torch.Tensor:
    """Their rows: what the source has for them, or as they were drawn."""
    vectors: torch.Tensor | None = words.vectors_for(folder)
    return model.get_parameter(TABLE)[-count:].detach().clone() if vectors is None else vectors


def _new_head(model: nn.Module, labels: int) -> list[str]:
    """Names of the modules that belong to one head alone: its last layer, and a head of our own."""
    from launcher.training.sources.own_heads import OwnHead

    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    own = [name for name, module in model.named_modules() if isinstance(module, OwnHead)]
    last = [name for name in linear if model.get_submodule(name).out_features == labels][-1:]
    return [*last, *own]


def _inside(name: str, modules: Sequence[str]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


@torch.no_grad()
def _carry(
    saved: Mapping[str, torch.Tensor],
    model: nn.Module,
    labels: tuple[int, int],
    only: Any = None,
    grown_only: bool = False,
) -> None:
    """Fill the model's tensors with the saved ones of their names; what has a row for each label, in its first rows.

    `labels`: how many there were, and are. Without `only` all names count.
    """
    before, now = labels
    for name, value in model.state_dict(keep_vars=True).items():
        old = saved.get(name)
        if old is None or (only is not None and name not in only) or old.dim() != value.dim():
            continue
        if old.shape == value.shape:
            if not grown_only:
                value.copy_(old)
        elif _grown(old.shape, value.shape, before, now):
            value[tuple(slice(0, size) for size in old.shape)] = old


def _grown(then: torch.Size, now: torch.Size, before: int, labels: int) -> bool:
    """Whether both shapes are alike but for sizes that are the number of labels."""
    return all(one == other or (one, other) == (before, labels) for one, other in zip(then, now, strict=True))


def _tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder's safetensors files."""
    return dict(_read(folder))


def _read(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    from safetensors.torch import load_file

    for path in sorted(folder.glob("*.safetensors")):
        yield from load_file(path).items()
