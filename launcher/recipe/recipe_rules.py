"""Combinations of a recipe's own nouns that cannot work, wherever it would run. `rules.judge` asks them too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from launcher.errors import Problem, did_you_mean
from launcher.recipe import (
    fasttext_rules,
    generation_rules,
    matrix_rules,
    method_rules,
    onward_rules,
    prompt_rules,
    search_rules,
    stream_rules,
)
from launcher.recipe.beside import NgramBag
from launcher.recipe.changed_rows_rules import _augment, _fgm, _packing
from launcher.recipe.data import Columns, Table, TaggedWords, held_by
from launcher.recipe.fields import NEEDED, Kind
from launcher.recipe.image_rules import _batch_norm, _bodies, _from_config, _no_tokens
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import Encoded, FastText, Static, Transformer
from launcher.recipe.task import (
    answer_of,
    is_custom,
    lacking,
    metrics_of,
    of_entities,
    plain,
    second_text,
    stride_of,
    tokens_of_rows,
)

HELD_BY: Mapping[Kind, str] = {
    "label": "Table or LabelledLines",
    "labels": "Table or LabelledLines",
    "tags": "Columns, TaggedWords or Table",
    "number": "Table",
    "answers": "Questions or Table",
    "entities": "Table, SemEvalLines or Columns(relation=…)",
    "image": "ImageFolders or Table",
    "document": "Texts or Table",
    "messages": "Conversations",
    "target": "Table or ParallelLines",
    "passage": "Pairs",
    "passages": "Pairs",
    "text": "Table",
}
"""Kinds of data to take instead."""


FITTING: Mapping[Kind, str] = {
    "tags": "TokenClassification",
    "entities": "RelationExtraction",
    "label": "TextClassification",
    "answers": "QuestionAnswering",
    "target": "Translation",
    "passage": "TextEmbedding(loss='ranking')",
    "document": "CausalLanguageModel",
    "messages": "Dialogue",
}
"""The task that rows with such answers are usually for."""


def _task_and_data(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, data = plain(loaded.recipe.task), loaded.recipe.data
    holds = held_by(data)
    missing = lacking(task, holds)
    if missing is not None:
        held = next(NEEDED[kind] for kind in NEEDED if kind in holds)
        what = f"{data.kind} holds {held}; {task.kind} needs {NEEDED[missing]}"
        if data.kind == "Table":  # which holds almost anything
            what = f"a Table has no {NEEDED[missing]}, which {task.kind} needs"
        if missing == "labels" and "label" in holds:
            what = f"{data.kind} gives each text one label"
        fitting = next(name for kind, name in FITTING.items() if kind in holds)
        fitting = "ImageClassification" if "image" in holds and "text" not in holds else fitting
        other = f"{HELD_BY['entities' if of_entities(task) else missing]} data"
        if missing == "tags" and isinstance(data, Columns):
            other = "leave data.relation out"
        do = f"use {other}" if data.kind == "Table" else f"use {fitting}, or {other}"
        yield Problem(what, loaded.where("data"), do)
    tokens = tokens_of_rows(task)
    if isinstance(data, TaggedWords) and tokens not in (None, "characters"):
        yield Problem(
            f"TaggedWords gives characters, the task expects words{', cut by jieba' * (tokens == 'jieba')}",
            loaded.where("task.tokens"),
            'write TokenClassification(tokens="characters")',
        )


def _pairs(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, data, where = plain(loaded.recipe.task), loaded.recipe.data, loaded.where("data.text_pair")
    second = second_text(task)
    if not isinstance(data, Table):
        return
    if data.text_pair is None:
        if second is not None and not second.optional and lacking(task, held_by(data)) is None:
            what = f"{task.kind} reads two texts, and the table names the column of one"
            do = 'name the columns of both: Table(…, text="text", text_pair="text_pair")'
            if answer_of(task) == "answers":
                do = 'write Questions(…), whose columns are SQuAD\'s, or Table(text="question", text_pair="context", …)'
            yield Problem(what, loaded.where("data"), do)
    elif second is None:
        tags = answer_of(task) == "tags"
        takes = "tags the tokens of one text, not of a pair" if tags else "takes one text, not a pair"
        yield Problem(f"{task.kind} {takes}", where, "leave it out")
    elif _has_bag(loaded):
        what = "a bag of n-grams votes on one text, and would not know which of a pair it looks at"
        yield Problem(what, loaded.where("embedding.beside"), "leave NgramBag out of embedding.beside")


def _entities(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, data = loaded.recipe.task, loaded.recipe.data
    if isinstance(data, Table) and data.entities is not None and not of_entities(task):
        what = f"{plain(task).kind} knows nothing of entities that columns name"
        yield Problem(what, loaded.where("data.entities"), "leave it out, or use RelationExtraction")


def _own_loss(loaded: LoadedRecipe) -> Iterator[Problem]:
    task = loaded.recipe.task
    for name in ("class_weights", "label_smoothing"):
        if is_custom(task) and getattr(plain(task), name, None):
            what = f"the loss of a CustomTask is its file's own, which knows nothing of {name}"
            yield Problem(what, loaded.where(f"task.like.{name}"), "give it to the file among the options")


def _tokens(loaded: LoadedRecipe) -> Iterator[Problem]:
    tokens, embedding = tokens_of_rows(loaded.recipe.task), loaded.recipe.embedding
    if (
        isinstance(embedding, Static)
        and tokens is not None
        and embedding.tokens is not None
        and embedding.tokens != tokens
    ):
        yield Problem(
            f"the task is about {tokens}, the embedding about {embedding.tokens}",
            loaded.where("embedding.tokens"),
            "leave embedding.tokens out: it follows the task",
        )


VOTES: Mapping[Kind, str] = {
    "labels": "votes for one label; {} may give a text several",
    "tags": "votes on a whole text; {} has one label a token",
    "number": "votes for a label; {} has a number",
    "entities": "votes on a whole text; {} asks about two entities in it",
}
"""Why a bag of n-grams cannot answer where rows have such a field."""


def _ngrams(loaded: LoadedRecipe) -> Iterator[Problem]:
    task = plain(loaded.recipe.task)
    kind = next((field.kind for field in task.fields if field.kind in VOTES), None)
    if kind is not None and _has_bag(loaded):
        yield Problem(
            f"a bag of n-grams {VOTES[kind].format(task.kind)}",
            loaded.where("embedding.beside"),
            "leave NgramBag out of embedding.beside",
        )


def _has_bag(loaded: LoadedRecipe) -> bool:
    embedding = loaded.recipe.embedding
    return isinstance(embedding, Encoded) and any(isinstance(noun, NgramBag) for noun in embedding.beside)


def _one_of_a_kind(loaded: LoadedRecipe) -> Iterator[Problem]:
    embedding = loaded.recipe.embedding
    kinds = Counter(noun.kind for noun in embedding.beside) if isinstance(embedding, Encoded) else Counter()
    for kind, count in kinds.items():
        if count > 1:
            what = f"embedding.beside names {kind} {count} times, and it can stand there once"
            do = "give one Lexicon all the files" if kind == "Lexicon" else f"keep one {kind}"
            yield Problem(what, loaded.where("embedding.beside"), do)


STOPPED: Mapping[Kind, str] = {"tags": "has a tag for each token", "answers": "finds answers, which may begin with one"}
"""Why no token may be left out where rows have such an answer."""


def _stop_words(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, embedding = plain(loaded.recipe.task), loaded.recipe.embedding
    if answer_of(task) in STOPPED and isinstance(embedding, Static) and embedding.stop_words:
        what = f"stop words are left out of a text; {task.kind} {STOPPED[answer_of(task)]}"
        yield Problem(what, loaded.where("embedding.stop_words"), "leave embedding.stop_words out")


def _windows(loaded: LoadedRecipe) -> Iterator[Problem]:
    """A question may take half of a window, so its context has the other half at least."""
    stride, longest = stride_of(loaded.recipe.task), getattr(loaded.recipe.embedding, "max_length", None)
    if stride is not None and isinstance(longest, int) and stride >= longest - longest // 2:
        what = f"windows of {longest} tokens cannot share {stride}: a question may take half of them"
        do = f"write a stride below {longest // 2}, or leave it out; or raise embedding.max_length"
        yield Problem(what, loaded.where("task.stride"), do)


def _heads(loaded: LoadedRecipe) -> Iterator[Problem]:
    embedding = loaded.recipe.embedding
    encoder = embedding.encoder if isinstance(embedding, Encoded) else None
    if isinstance(encoder, Transformer) and encoder.hidden % encoder.heads:
        yield Problem(
            f"{encoder.heads} heads cannot share {encoder.hidden} hidden units evenly",
            loaded.where("embedding.encoder.heads"),
            f"make hidden {encoder.hidden + -encoder.hidden % encoder.heads}, or change heads",
        )


def _metric(loaded: LoadedRecipe) -> Iterator[Problem]:
    known, name = metrics_of(loaded.recipe.task), loaded.recipe.training.select_by
    if name is not None and name not in known:
        yield Problem(
            f"{loaded.recipe.task.kind} has no metric {name!r}",
            loaded.where("training.select_by"),
            did_you_mean(name, known),
        )


def _subwords(loaded: LoadedRecipe) -> Iterator[Problem]:
    embedding = loaded.recipe.embedding
    if isinstance(embedding, FastText) and embedding.shortest_subword > embedding.longest_subword > 0:
        yield Problem(
            f"the shortest subword ({embedding.shortest_subword}) is longer than the longest "
            f"({embedding.longest_subword})",
            loaded.where("embedding.shortest_subword"),
            "swap them; a longest of 0 means no subwords",
        )


RULES = (
    _task_and_data,
    _pairs,
    _augment,
    _fgm,
    _packing,
    *prompt_rules.RULES,
    _entities,
    _bodies,
    _from_config,
    _no_tokens,
    _batch_norm,
    _own_loss,
    _tokens,
    _ngrams,
    _one_of_a_kind,
    _stop_words,
    _windows,
    _heads,
    _metric,
    _subwords,
    *fasttext_rules.RULES,
    *matrix_rules.RULES,
    *generation_rules.RULES,
    *stream_rules.RULES,
    *search_rules.RULES,
    *method_rules.RULES,
    *onward_rules.RULES,
)
