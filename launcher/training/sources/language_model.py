"""Whether a pretrained model can be asked for words: it must have come with a head for them, of the right kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from launcher.errors import DataError, Problem
from launcher.recipe.source import Pretrained
from launcher.recipe.task import PlainTask
from launcher.training.model_parts.positions import OFFSET_POSITIONS
from launcher.training.sources import limits
from launcher.training.sources.border import at_the_border
from launcher.training.sources.reference import source_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def refuse_headless(model: PreTrainedModel, named: str, lacking: list[str]) -> None:
    """Raise DataError where these tensors of a language model's head were not in its files: it would say anything."""
    if lacking:
        what = f"{named} holds no head for words: {len(lacking)} of its tensors are missing, the first {lacking[0]}"
        do = f"take a checkpoint that was saved with it, as a {type(model).__name__}"
        raise DataError(Problem(what, do=do))


def lacking_in(model: PreTrainedModel, stored: Iterable[str]) -> list[str]:
    """The head's tensors that are not among these names of a file, which older files and some families have otherwise
    than the model, as loading knows.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping

    there = set(stored)
    for change in get_model_conversion_mapping(model):
        there |= {change.rename_source_key(name)[0] for name in there}
    body = model.base_model_prefix + "."
    names: dict[int, list[str]] = {}  # a bias may have two
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    heads = [all_names for all_names in names.values() if not any(name.startswith(body) for name in all_names)]
    return [head[0] for head in heads if not there.intersection(head)]


def wrong_kind(embedding: Pretrained, task: PlainTask) -> Iterator[Problem]:
    """A model that fills masks, asked for the next word: it would not know that there is one. And one like RoBERTa that
    writes: transformers counts the positions of what is written from 0, and its own begin behind the padding's id.
    """
    if task.head not in ("next", "next tokens"):
        return
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as fill_masks

    with at_the_border(embedding.model):
        values = limits.config_values(source_folder(embedding.model))
    kind = values.get("model_type")
    if kind in fill_masks and not values.get("is_decoder"):
        what = f"{embedding.model} is of the kind {kind!r}, which fills masks and continues no text"
        if task.head == "next":
            yield Problem(what, "task.template", "write {mask} into the template where the word is to stand")
        else:
            yield Problem(what, "embedding.model", "take one that does, such as GPT-2, Llama or Qwen2")
    elif kind in OFFSET_POSITIONS and task.head == "next tokens":
        what = f"{embedding.model} is of the kind {kind!r}, which transformers has write from wrong positions"
        do = "take one such as GPT-2, Llama or Qwen2; or make it a decoder beside an encoder: embedding.decoder"
        yield Problem(what, "embedding.model", do)
