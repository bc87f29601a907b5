"""One label for one text, by the word that a language model puts into a template: cross entropy over the labels.

A label's score is the logit of its word at the word's place; of several words their mean, which for all labels is the
mean of their log-probabilities up to the same number. Where the task calibrates, each batch has one row more, of a text
that says nothing: its scores are subtracted from those of every row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from launcher.errors import Problem
from launcher.recipe.task import Prompted, words_of
from launcher.training.batches.split import TOKENS, Column, Ragged, Split
from launcher.training.data import Row
from launcher.training.model_parts.word_place import HERE
from launcher.training.tasks import text_classification
from launcher.training.tasks.base import Arrays, Draw, Encoded, Reader
from launcher.training.tasks.prompt import Prompt, Words

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

MASK = "attention_mask"
REPLACEMENT = "\ufffd"
"""What stands for bytes that are no character."""


class Work(text_classification.Work):
    """See `launcher.training.tasks.base.TaskWork`. The logits that it takes are [rows, vocabulary], at `answer_at`."""

    metric_names = tuple(Prompted.metrics)
    inputs = {TOKENS: None, HERE: 0}  # noqa: RUF012 (the base class types it as a Mapping)

    def __init__(self, task: Prompted, reader: Reader):
        super().__init__(task, reader)
        self.prompt = Prompt(task.template, self.tokenizer, reader.max_length)
        self.nothing = task.calibrate_by
        self.feeds_any_token = self.nothing is not None

    def for_training(self, train: Split) -> Self:
        """The loss that is trained on is the one that is measured."""
        return self

    def problems(self) -> Iterator[Problem]:
        """A template that this model cannot read, or leaves no room for a text; each word that is no token of its."""
        if self.prompt.gap and self.tokenizer.mask_token is None:
            what = "the template has {mask}, and the model has no mask: it continues a text"
            yield Problem(what, "task.template", "let the template end where the word is to come")
            return
        if (length := self.prompt.shortest()) >= self.reader.max_length:
            what = f"the template takes {length} tokens alone, and the longest input has {self.reader.max_length}"
            yield Problem(what, "task.template", "make it shorter, or embedding.max_length larger")
        words, owners = Words(self.prompt), dict[int, tuple[str, str]]()
        for label, given in words_of(self.task).items():
            for word in given:
                token = words.single(word)
                if token is None:
                    yield _no_token(words, word, label)
                elif (owner := owners.setdefault(token, (word, label)))[1] != label:
                    what = f"{word!r} of {label!r} and {owner[0]!r} of {owner[1]!r} are one token to the model"
                    yield Problem(what, "task.words", "give each label words of its own")

    def warnings(self) -> list[str]:
        """Where words stand against the template's last letter, as few would write them."""
        last, words = self.prompt.before[-1:], [w for given in words_of(self.task).values() for w in given]
        first = next((w for w in words if w[0].isascii() and w[0].isalnum()), None)
        if self.prompt.space or first is None or not last.isascii() or last.isspace():
            return []
        read = next(before for before, field in self.prompt.parts if field == self.prompt.gap).strip() + first
        return [f"the template and the word read {read[-30:]!r}: is there a space missing?"]

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """A row for each text or pair, in the template: `input_ids`, and `answer_at`, the index of the word's place."""
        rows = self.prompt.fill([(str(row.text), row.pair) for row in examples])
        tokens = Ragged.of([row.ids for row in rows], np.int32)
        labels, targets = self.answers_of(examples)
        places = np.array([row.place for row in rows], dtype=np.int64)
        columns: dict[str, Column] = {TOKENS: tokens, HERE: places, "labels": labels}
        split = Split(columns, {"loss": targets}, tokens.lengths, np.arange(len(examples)))
        return Encoded(split, np.array([row.cut for row in rows], dtype=bool))

    def as_read(self, row: Row) -> Row:
        """In the template."""
        return replace(row, text=self.prompt.read(str(row.text), row.pair), pair=None)

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """`answer_at` counts from the end of the padded rows. The row that says nothing comes last."""
        batch = super().collate(split, rows, draw)
        batch[HERE] = batch[HERE] - batch[TOKENS].shape[1]
        return batch if self.nothing is None else self._with_nothing(batch)

    def logits(self, outputs: Tensors) -> torch.Tensor:
        """The scores of the labels, float32 [rows, labels]."""
        import torch

        logits = outputs["logits"].float()
        scores = torch.stack([logits[:, tokens].mean(dim=-1) for tokens in self.tokens], dim=-1)
        return scores if self.nothing is None else scores[:-1] - scores[-1:].log_softmax(dim=-1)

    @cached_property
    def tokens(self) -> list[list[int]]:
        """Those of each label's words, in the order of the labels."""
        words, of_label = Words(self.prompt), words_of(self.task)
        return [[words.tokens_of(word)[0] for word in of_label[label]] for label in self.labels]

    def for_readers(self) -> dict[str, Any]:
        """The template as it is filled, and the tokens of the labels' words."""
        prompt = self.prompt
        template = {"parts": prompt.parts, "gap": prompt.gap, "label_tokens": self.tokens}
        template |= {"mask": self.tokenizer.mask_token or "", "mask_token": self.tokenizer.mask_token_id}
        return {"template": template, "calibrate_by": self.nothing}

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """With the place of each word, and the row that says nothing."""
        import torch

        _, wanted = super().sample(rows, length)
        inputs, _ = super().sample(rows + (self.nothing is not None), length)
        place = torch.full((len(inputs[TOKENS]),), -1, dtype=torch.int64)
        return {**inputs, HERE: place}, wanted

    @cached_property
    def _nothing(self) -> tuple[np.ndarray, int]:
        """The tokens of the text that says nothing, and its word's place."""
        text = str(self.nothing)
        (filled,) = self.prompt.fill([(text, text)])
        return np.array(filled.ids, dtype=np.int64), filled.place

    def _with_nothing(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        ids, place = self._nothing
        rows, width = batch[TOKENS].shape
        wide = max(width, len(ids))
        tokens = np.full((rows + 1, wide), int(self.tokenizer.pad_token_id or 0), dtype=np.int64)
        tokens[:rows, :width], tokens[rows, : len(ids)] = batch[TOKENS], ids
        mask = np.zeros((rows + 1, wide), dtype=np.int64)
        mask[:rows, :width], mask[rows, : len(ids)] = batch.get(MASK, 1), 1
        places = np.append(batch[HERE] + width, place) - wide
        return {**batch, TOKENS: tokens, HERE: places, **({} if mask.all() else {MASK: mask})}


def _no_token(words: Words, word: str, label: str) -> Problem:
    """The refusal of a word that is not one token."""
    tokenizer, tokens = words.prompt.tokenizer, words.tokens_of(word)
    pieces = [tokenizer.convert_tokens_to_string([piece]) for piece in tokenizer.convert_ids_to_tokens(tokens)]
    what = f"the model's tokenizer cuts {word!r}, the word of {label!r}, into " + ", ".join(map(repr, pieces))
    if any(REPLACEMENT in piece for piece in pieces):
        what = f"the model's tokenizer cuts {word!r}, the word of {label!r}, into {len(pieces)} tokens of single bytes"
    if len(tokens) < 2:
        what = f"the model's tokenizer does not know {word!r}, the word of {label!r}"
    near = ", ".join(map(repr, words.like(word)))
    return Problem(what, "task.words", f"take a word of one token{f', such as {near}' if near else ''}")
