"""Where the vectors come from. Every source answers the same two questions, and after that all are alike.

    build_tokenizer   once, in `prepare`: a fast tokenizer on disk (and the initial vectors of fastText)
    build_model       in every rank: a `PreTrainedModel`; (input_ids, attention_mask) -> output with `.logits`

Static vectors become a small `PreTrainedModel` of our own, so saving, loading, PEFT, sharding and prediction
know one kind of model. Nothing here imports torch, transformers or fastText before it is called;
`build_tokenizer` imports torch only for pretrained models whose tokenizer class needs `AutoTokenizer` to be
found. A pretrained model answers for itself; the static sources answer one question (`static_source`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from launcher.recipe.about_images import reads_images
from launcher.recipe.source import Embedding, Encoded, FromConfig, Pretrained, Static
from launcher.recipe.task import Task, plain
from launcher.training.data import jieba_words
from launcher.training.sources.reference import source_folder

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from launcher.training.batches.split import Split
    from launcher.training.data.preparation import Preparation
    from launcher.training.sources.static.learnt import Learnt
    from launcher.training.sources.static.static_model import StaticVectorsModel

__all__ = [
    "IMAGES",
    "build_model",
    "build_tokenizer",
    "learn",
    "learnt",
    "lines_of",
    "load_model",
    "load_preparation",
    "load_tokenizer",
    "new_modules",
    "said_of",
    "save_beside",
    "source_folder",
    "tokenizer_in",
    "told_of",
]

IMAGES = "image_processor"
"""The folder of what says how images are prepared, beside that of the `tokenizer`."""
Sentence = str | tuple[str, ...]
"""A raw text; the two texts of a pair, or the tokens of a row of a token task."""


def build_tokenizer(
    embedding: Embedding, task: Task, sentences: Iterable[Sentence], folder: Path, others: Iterable[Sentence] = ()
) -> int:
    """Save the source's tokenizer to folder/`tokenizer`; return the longest input in tokens.

    Of a task of images it is how they are prepared, in folder/`image_processor`, and the pixels of the larger side.

    `sentences` are the training split's, read once, and `others` those of the other splits. A static source also saves
    its initial vectors to folder/`vectors.safetensors` (`vectors`, float32 [rows, dimension]). The tokenizer pads on
    the right, gives offsets and takes `is_split_into_words=True`. A static tokenizer gives *no* token for a text or a
    word that is empty or white space: the caller puts `unk_token_id` there.
    Raises RecipeError and DataError for a missing or unusable source.
    """
    task = plain(task)
    if reads_images(task):
        from launcher.training.sources import image_source

        assert not isinstance(embedding, Static), "gate 2 refuses images on static vectors (recipe/recipe_rules.py)"
        return image_source.save(embedding, task, folder)
    match embedding:
        case FromConfig():
            from launcher.training.sources import tokenizer_for_config

            return tokenizer_for_config.save(embedding, task, sentences, folder)
        case Pretrained():
            from launcher.training.sources import pretrained_tokenizer

            return pretrained_tokenizer.build_tokenizer(embedding, task, folder)
        case _:
            from launcher.training.sources import static_source

            return static_source.save(embedding, task, sentences, folder, others)


def told_of(folder: Path) -> dict[str, int]:
    """What a source counted while `build_tokenizer` filled the folder: words without a vector, stop words."""
    from launcher.training.sources.static import vocabulary

    return vocabulary.told_of(folder)


def lines_of(folder: Path) -> list[str]:
    """What it told besides, a sentence each: of which tokens a matrix has rows."""
    from launcher.training.sources.static import vocabulary

    return vocabulary.lines_of(folder)


def save_beside(embedding: Embedding, train: Split, folder: Path) -> dict[str, int]:
    """Save what stands beside the table and may learn from the training split; say what was counted.

    `folder` holds the tokenizer. Raises as `build_tokenizer` does.
    """
    if not isinstance(embedding, Encoded) or not embedding.beside:
        return {}
    from launcher.training.sources.static import beside

    tokenizer = load_tokenizer(folder)
    counts: dict[str, int] = {}
    for noun in embedding.beside:
        counts |= beside.save(noun, tokenizer, train, folder)
    return counts


def build_model(
    embedding: Embedding, task: Task, labels: Sequence[str], folder: Path, dropout: float | None
) -> PreTrainedModel:
    """The model with its initial float32 weights; `folder` is what `build_tokenizer` filled.

    A pure function of its arguments and torch's global generator, which the caller seeds. `dropout` None
    keeps the model's own rates, a number sets every one of them. Logits are [rows, labels] for texts and
    [rows, tokens, labels] for tokens. Raises DataError for weights that are missing or unsafe to load.
    """
    task = plain(task)
    match embedding:
        case Pretrained():
            from launcher.training.sources import pretrained

            return pretrained.build_model(embedding, task, labels, folder, dropout)
        case FromConfig():
            from launcher.training.sources import pretrained

            return pretrained.drawn(embedding, task, labels, folder, dropout)
        case _:
            from launcher.training.sources import static_source

            return static_source.build_model(embedding, task, labels, folder, dropout)


def load_model(folder: Path, task: Task, **given: Any) -> PreTrainedModel:
    """A whole model that `save_pretrained` wrote to `folder`, in float32, whatever source it began with; `given` is
    what `from_pretrained` shall be told besides, or instead."""
    from launcher.training.sources import pretrained
    from launcher.training.sources.heads import HEADS

    if HEADS[plain(task).head].static is not None:
        HEADS[plain(task).head].static_class()  # its module registers it
        from launcher.training.sources.static import fasttext_classifier as fasttext_classifier  # and itself
    return pretrained.load_model(folder, plain(task), **given)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """What `build_tokenizer` saved below `folder`."""
    return tokenizer_in(folder / "tokenizer")


def load_preparation(folder: Path) -> Preparation:
    """How images are prepared, as `build_tokenizer` saved it below `folder`."""
    from launcher.training.data.preparation import Preparation

    return Preparation.load(folder / IMAGES)


def tokenizer_in(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer whose files are in `folder` itself, through the very class that wrote it: no torch."""
    import transformers

    name = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["tokenizer_class"]
    if name == jieba_words.CLASS:
        return jieba_words.load(folder)
    found = getattr(transformers, name, None) or transformers.AutoTokenizer
    return cast("PreTrainedTokenizerFast", found.from_pretrained(folder, local_files_only=True))


def learn(model: Module, tokenizer: Any, sentences: Iterable[Sentence]) -> None:
    """Let model and tokenizer know the words of these texts, which are read next, where subwords make their vectors."""
    from launcher.training.sources.static import vocabulary

    if (base := _of_subwords(model)) is not None:
        new = vocabulary.learn(tokenizer, sentences)
        if new:
            base.learn(new)


def learnt(model: Module, tokenizer: Any) -> Learnt | None:
    """What `learn` will have changed, to be forgotten; None for a model that learns no words."""
    from launcher.training.sources.static.learnt import Learnt

    base = _of_subwords(model)
    return None if base is None else Learnt(base, tokenizer)


def _of_subwords(model: Module) -> StaticVectorsModel | None:
    from launcher.training.model_parts.sparse_table import base_of
    from launcher.training.sources.static.static_model import StaticVectorsModel

    base = base_of(model)
    return base if isinstance(base, StaticVectorsModel) and base.config.subwords is not None else None


def said_of(model: PreTrainedModel) -> str:
    """What was done with a head that the source had already, in a sentence; '' where there is nothing to say."""
    return str(getattr(model, "_said", ""))


def new_modules(model: PreTrainedModel) -> list[str]:
    """Names of the submodules that train under every method: the head, and what no pretrained file held."""
    from launcher.training.sources import pretrained
    from launcher.training.sources.own_heads import OwnHead
    from launcher.training.sources.static import static_model

    if isinstance(model, static_model.StaticVectorsModel):
        own = [name for name, module in model.named_children() if isinstance(module, OwnHead)]
        return [*model.new_modules, *own]
    return pretrained.new_modules(model)
