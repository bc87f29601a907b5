"""Pretrained transformers: hub, local folder or installed package. Safetensors only, no foreign code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import DataError, Problem
from launcher.recipe.about_search import pooling_of
from launcher.recipe.source import FromConfig, Pretrained
from launcher.recipe.task import PlainTask, answer_of
from launcher.training.model_parts.dropout import configure_dropout, set_dropout
from launcher.training.model_parts.grown_table import grow
from launcher.training.model_parts.word_place import has_own_head
from launcher.training.sources import body_names, padding
from launcher.training.sources.bodies import name_of, own_config
from launcher.training.sources.border import at_the_border, quiet
from launcher.training.sources.heads import HEADS, PROBLEM_TYPES
from launcher.training.sources.joined import name_tokens
from launcher.training.sources.language_model import refuse_headless
from launcher.training.sources.reference import source_folder
from launcher.training.sources.safe_folder import refuse_names_that_lead_away
from launcher.training.sources.tokenizer_for_config import drawn_config
from launcher.training.sources.trained_head import TrainedHead

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def build_model(
    embedding: Pretrained, task: PlainTask, labels: Sequence[str], folder: Path, dropout: float | None
) -> PreTrainedModel:
    """The pretrained body in float32 with a head for `labels`; what is new comes from torch's generator.

    `folder` is what `build_tokenizer` filled, or a saved model's: its padding is the model's.
    """
    source = source_folder(embedding.model)
    refuse_unsafe(source, embedding.model)
    config = own_config(embedding)
    head = TrainedHead.of(config, HEADS[task.head].rows)
    fit_config(config, task, labels, folder, dropout, source)
    with at_the_border(embedding.model):
        refuse_names_that_lead_away(source, embedding.model)
        if embedding.decoder is not None:
            return _joined(embedding, task, config, dropout)
        model, fresh = _load(source, task, config, new_head=HEADS[task.head].new)
        if HEADS[task.head].new:
            model._said = head.settle(model, fresh, labels)  # type: ignore[assignment]  # an attribute of our own
    grow(model, folder)
    if dropout is not None:
        set_dropout(model, dropout)
    return model


def _joined(embedding: Pretrained, task: PlainTask, config: Any, dropout: float | None) -> PreTrainedModel:
    """Two encoders as one encoder-decoder, fitted."""
    from launcher.training.sources.joined import joined_model

    refuse_unsafe(source_folder(str(embedding.decoder)), str(embedding.decoder))
    model, fresh = joined_model(embedding, config)
    _note_new(model, fresh)
    if dropout is not None:
        set_dropout(model, dropout)
    fitted: PreTrainedModel = HEADS[task.head].fitted(model)
    return fitted


def _note_new(model: PreTrainedModel, fresh: Sequence[str]) -> None:
    """Remember which modules no file filled."""
    # an attribute of our own
    model._new_modules = list(dict.fromkeys(key.rpartition(".")[0] for key in fresh))  # type: ignore[assignment]


def drawn(
    embedding: FromConfig, task: PlainTask, labels: Sequence[str], folder: Path, dropout: float | None
) -> PreTrainedModel:
    """A model of this configuration in float32 with a head for `labels`, all of it from torch's generator."""
    import torch

    config = drawn_config(embedding, folder)
    fit_config(config, task, labels, folder, dropout)
    with at_the_border(name_of(embedding)), quiet():
        model: PreTrainedModel = (
            HEADS[task.head].auto_class().from_config(config, dtype=torch.float32, trust_remote_code=False)
        )
    if dropout is not None:
        set_dropout(model, dropout)
    fitted: PreTrainedModel = HEADS[task.head].fitted(model)
    return fitted


def fit_config(
    config: PretrainedConfig,
    task: PlainTask,
    labels: Sequence[str],
    folder: Path,
    dropout: float | None,
    source: str = "",
) -> None:
    """Write into it what this run needs: a new head for `labels`, the tokenizer's padding, the rates of dropout."""
    if HEADS[task.head].new:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
        config.problem_type = PROBLEM_TYPES.get(answer_of(task))  # a checkpoint may name another task's
    if task.head == "embedding":
        from launcher.training.sources import embedding_head

        given = Path(source_folder(source)) if source else folder
        setattr(config, embedding_head.POOLING, embedding_head.settled_pooling(pooling_of(task), given, config))
    padding.name_in(config, folder)
    name_tokens(config, folder)
    if dropout is not None:
        configure_dropout(config, dropout)


def load_model(folder: Path, task: PlainTask, **given: Any) -> PreTrainedModel:
    """A whole saved model in float32, static or pretrained, or as `given`. Raises DataError where there is none."""
    if not (folder / "config.json").is_file():
        raise DataError(Problem(f"there is no saved model in {folder}", do="give a folder with a config.json"))
    refuse_unsafe(str(folder), str(folder))
    with at_the_border(str(folder)):
        refuse_names_that_lead_away(str(folder), str(folder))
        return _load(str(folder), task, None, new_head=False, **given)[0]


def new_modules(model: PreTrainedModel) -> list[str]:
    """The new head's modules, then those inside the body that the pretrained file lacked (a pooler)."""
    if has_own_head(model):  # what a file lacked of it was drawn (`HeadKind.needed`)
        table = model.get_output_embeddings()  # what holds it is the body's as well
        drawn: Any = getattr(model, "_new_modules", ())
        names: list[str] = list(dict.fromkeys(drawn))
        return [name for name in names if all(part is not table for part in model.get_submodule(name).modules())]
    head = body_names.head_of(model)
    lacked = getattr(model, "_new_modules", ())
    return list(dict.fromkeys([*head, *(name for name in lacked if name.split(".")[0] not in head)]))


def _load(
    source: str, task: PlainTask, config: PretrainedConfig | None, new_head: bool, **more: Any
) -> tuple[PreTrainedModel, list[str]]:
    """The model, and the names of its tensors that no file filled."""
    import torch

    auto_class, renamed = HEADS[task.head].auto_class(), dict[str, str]()
    given: dict[str, Any] = {"dtype": torch.float32, **more}
    if config is not None:
        renamed = body_names.renaming(auto_class, config)
        given |= {"config": config, **({"key_mapping": renamed} if renamed else {})}
    if new_head:
        given["ignore_mismatched_sizes"] = True
    model: PreTrainedModel
    with quiet():
        model, info = auto_class.from_pretrained(
            source,
            **given,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    if renamed:
        body_names.forget(model, renamed)
    mismatched = [key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]]
    fresh = sorted({*info["missing_keys"], *mismatched})
    head = body_names.head_of(model) if model.base_model_prefix else []
    if not HEADS[task.head].new and HEADS[task.head].needed:
        refuse_headless(model, source, [key for key in fresh if key.split(".")[0] in head])
    drawn = new_head or not HEADS[task.head].needed
    lacking = [key for key in fresh if not drawn or (key.split(".")[0] not in head and "pooler" not in key)]
    if lacking:
        what = f"{source}: the weights do not fit the model's config.json; {len(lacking)} tensors are missing"
        raise DataError(Problem(f"{what} or have another shape, the first {lacking[0]}", do="take a whole model"))
    _note_new(model, fresh)
    return HEADS[task.head].fitted(model), fresh


def refuse_unsafe(source: str, model: str) -> None:
    """A local folder has to hold safetensors: the older format is a pickle, which runs code when loaded."""
    folder = Path(source)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        what = f"{model} holds its weights as a pickle only, and loading a pickle runs whatever code is in it"
        do = (
            "if you trust it, convert it once: AutoModel.from_pretrained(folder, use_safetensors=False)"
            ".save_pretrained(folder) writes model.safetensors"
        )
    else:
        what, do = f"{model} holds no weights", "give a folder with config.json and model.safetensors"
    raise DataError(Problem(what, str(folder), do))
