"""A pretrained model's shape without its weights: what memory is planned from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

from launcher.recipe.source import FromConfig, Pretrained
from launcher.recipe.task import PlainTask
from launcher.training.model_parts.dropout import set_dropout
from launcher.training.model_parts.grown_table import grow
from launcher.training.sources import body_names
from launcher.training.sources.bodies import name_of, own_config
from launcher.training.sources.border import at_the_border
from launcher.training.sources.heads import HEADS
from launcher.training.sources.joined import lacking_in_both
from launcher.training.sources.language_model import lacking_in, refuse_headless
from launcher.training.sources.pretrained import fit_config
from launcher.training.sources.reference import source_folder
from launcher.training.sources.tokenizer_for_config import drawn_config

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def build_hollow(
    embedding: Pretrained | FromConfig,
    task: PlainTask,
    labels: Sequence[str],
    folder: Path,
    dropout: float | None,
    layers: int | None = None,
) -> PreTrainedModel:
    """The model as its config.json says it, with the configuration's layers or with `layers` of them.

    Call it where tensors are made without data. Which modules are new is read from the names in the weights'
    files; a folder without weights counts as holding the whole body.
    """
    import torch

    config = drawn_config(embedding, folder) if isinstance(embedding, FromConfig) else own_config(embedding)
    fit_config(config, task, labels, folder, dropout)
    if layers is not None:
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    with at_the_border(name_of(embedding)):
        model: PreTrainedModel = (
            HEADS[task.head].auto_class().from_config(config, dtype=torch.float32, trust_remote_code=False)
        )
        # an attribute of our own, as `sources.pretrained` sets it
        model._new_modules = _new_modules(embedding, task, config, model)  # type: ignore[assignment]
    grow(model, folder)
    if dropout is not None:
        set_dropout(model, dropout)
    fitted: PreTrainedModel = HEADS[task.head].fitted(model)
    return fitted


def _new_modules(
    embedding: Pretrained | FromConfig, task: PlainTask, config: PretrainedConfig, model: PreTrainedModel
) -> list[str]:
    """The modules of which the weights' files have nothing. Raises DataError where the model needs them."""
    if isinstance(embedding, FromConfig):
        return []
    if embedding.decoder is not None:
        kept = [set(_stored_names(name, {})) for name in (embedding.model, embedding.decoder)]
        fresh = lacking_in_both(model, *kept) if all(kept) else []
    else:
        renamed = body_names.renaming(HEADS[task.head].auto_class(), config)
        stored = set(_stored_names(embedding.model, renamed))
        stored |= body_names.as_loaded(model, stored)
        if stored and not HEADS[task.head].new and HEADS[task.head].needed:
            refuse_headless(model, name_of(embedding), lacking_in(model, stored))
        body = model.base_model_prefix + "."
        names = [name for name, _ in model.named_parameters()] if stored else []
        fresh = [name for name in names if name not in stored and name.removeprefix(body) not in stored]
    return list(dict.fromkeys(name.rpartition(".")[0] for name in fresh))


def _stored_names(model: str, renamed: Mapping[str, str]) -> Iterator[str]:
    """Names of the tensors in a local folder's safetensors files, from their headers alone, as loading renames them."""
    folder = Path(source_folder(model))
    for path in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
        with safe_open(path, "np") as file:  # it holds the header's size against the file's
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                for pattern, replacement in renamed.items():
                    name = re.sub(pattern, replacement, name)
                yield name
