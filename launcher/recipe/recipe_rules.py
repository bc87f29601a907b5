"""Combinations of a recipe's own nouns that cannot work, wherever it would run. `rules.judge` asks them too."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Problem, did_you_mean
from launcher.recipe.data import Columns, LabelledFiles, Table, TaggedWords
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import FastText, Pretrained, Transformer
from launcher.recipe.task import CustomTask, TokenClassification, metrics_of, plain


def _task_and_data(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, data = plain(loaded.recipe.task), loaded.recipe.data
    if task.head != "tokens" and isinstance(data, Columns | TaggedWords):
        needs = "the labels of" if task.several_labels else "one label"
        needs += " a text"
        yield Problem(
            f"{data.kind} holds one tag a token; {task.kind} needs {needs}",
            loaded.where("data"),
            "use TokenClassification, or Table or LabelledLines data",
        )
    if task.head == "tokens" and isinstance(data, LabelledFiles):
        yield Problem(
            "LabelledFiles holds one label a text; TokenClassification needs one tag a token",
            loaded.where("data"),
            "use TextClassification, or Columns, TaggedWords or Table data",
        )
    if (
        isinstance(task, TokenClassification)
        and isinstance(data, TaggedWords)
        and task.tokens not in (None, "characters")
    ):
        yield Problem(
            f"TaggedWords gives characters, the task expects words{', cut by jieba' * (task.tokens == 'jieba')}",
            loaded.where("task.tokens"),
            'write TokenClassification(tokens="characters")',
        )


def _several_labels(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, embedding = plain(loaded.recipe.task), loaded.recipe.embedding
    if not task.several_labels:
        return
    if isinstance(loaded.recipe.data, LabelledFiles):
        what, do = "LabelledFiles gives each text one label", "use TextClassification, or Table or LabelledLines data"
        yield Problem(what, loaded.where("data"), do)
    if not isinstance(embedding, Pretrained) and embedding.ngrams > 1:
        what = "a bag of n-grams votes for one label; MultiLabelClassification may give a text several"
        yield Problem(what, loaded.where("embedding.ngrams"), "leave embedding.ngrams out")


def _pairs(loaded: LoadedRecipe) -> Iterator[Problem]:
    data, where = loaded.recipe.data, loaded.where("data.text_pair")
    if not isinstance(data, Table) or data.text_pair is None:
        return
    if plain(loaded.recipe.task).head == "tokens":
        yield Problem("TokenClassification tags the tokens of one text, not of a pair", where, "leave it out")
    elif not isinstance(loaded.recipe.embedding, Pretrained) and loaded.recipe.embedding.ngrams > 1:
        what = "a bag of n-grams votes on one text, and would not know which of a pair it looks at"
        yield Problem(what, loaded.where("embedding.ngrams"), "leave embedding.ngrams out")


def _own_loss(loaded: LoadedRecipe) -> Iterator[Problem]:
    task = loaded.recipe.task
    for name in ("class_weights", "label_smoothing"):
        if isinstance(task, CustomTask) and getattr(task.like, name, None):
            what = f"the loss of a CustomTask is its file's own, which knows nothing of {name}"
            yield Problem(what, loaded.where(f"task.like.{name}"), "give it to the file among the options")


def _tokens(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, embedding = plain(loaded.recipe.task), loaded.recipe.embedding
    if (
        isinstance(task, TokenClassification)
        and not isinstance(embedding, Pretrained)
        and task.tokens is not None
        and embedding.tokens not in (None, task.tokens)
    ):
        yield Problem(
            f"the task is about {task.tokens}, the embedding about {embedding.tokens}",
            loaded.where("embedding.tokens"),
            "leave embedding.tokens out: it follows the task",
        )


def _ngrams(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, embedding = plain(loaded.recipe.task), loaded.recipe.embedding
    if task.head == "tokens" and not isinstance(embedding, Pretrained) and embedding.ngrams > 1:
        yield Problem(
            "a bag of n-grams votes on a whole text; TokenClassification has one label a token",
            loaded.where("embedding.ngrams"),
            "leave embedding.ngrams out",
        )
    if not isinstance(embedding, Pretrained) and embedding.ngram_buckets is not None and embedding.ngrams == 1:
        what = "ngram_buckets shares votes among n-grams, and without ngrams there are none"
        yield Problem(what, loaded.where("embedding.ngram_buckets"), "write ngrams=2 too, or leave ngram_buckets out")


def _stop_words(loaded: LoadedRecipe) -> Iterator[Problem]:
    task, embedding = plain(loaded.recipe.task), loaded.recipe.embedding
    if task.head == "tokens" and not isinstance(embedding, Pretrained) and embedding.stop_words:
        what = "stop words are left out of a text; TokenClassification has a tag for each token"
        yield Problem(what, loaded.where("embedding.stop_words"), "leave embedding.stop_words out")


def _heads(loaded: LoadedRecipe) -> Iterator[Problem]:
    encoder = None if isinstance(loaded.recipe.embedding, Pretrained) else loaded.recipe.embedding.encoder
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
    _several_labels,
    _pairs,
    _own_loss,
    _tokens,
    _ngrams,
    _stop_words,
    _heads,
    _metric,
    _subwords,
)
