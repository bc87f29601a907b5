"""Each token of a document from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from launcher.recipe.language_tasks import CausalLanguageModel
from launcher.training.batches.split import TOKENS, Ragged, Split
from launcher.training.data import Row
from launcher.training.tasks import asked_by_readers
from launcher.training.tasks.base import Arrays, Encoded
from launcher.training.tasks.words_said import WordsWork, parts_of, texts_of
from launcher.training.tasks.writing import Message, Writes, left_padded

SHOWN = 64
"""Most tokens of a document that it is shown how the model goes on from."""


class Work(WordsWork, Writes):
    """See `launcher.training.tasks.base.TaskWork`."""

    metric_names = tuple(CausalLanguageModel.metrics)
    tells_too = True

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """The parts of each document, none longer than the longest input: `input_ids`.

        Signs of the tokenizer's own (`<|endoftext|>`) that stand in a document are text and end nothing.
        """
        rows, example = list[Sequence[int]](), list[int]()
        for number, ids in enumerate(self.documents([str(row.text) for row in examples])):
            parts = cut(ids, self.reader.max_length)
            rows += parts
            example += [number] * len(parts)
        tokens = Ragged.of(rows, np.int32)
        targets = np.maximum(tokens.lengths - 1, 0)
        split = Split({TOKENS: tokens}, {"loss": targets}, tokens.lengths, np.array(example, dtype=np.int64))
        return Encoded(split, np.zeros(len(examples), dtype=bool))

    def prompts(self, split: Split, rows: np.ndarray) -> Arrays:
        """The first half of each row, or less."""
        return self._side_by_side([self._halves(split, row)[0] for row in rows])

    def references(self, split: Split, rows: np.ndarray) -> list[str]:
        """How each of these rows goes on."""
        return [self.written(self._halves(split, row)[1][: self.longest]) for row in rows]

    def openings(self, split: Split, rows: np.ndarray) -> Arrays:
        """The end of each document: as many tokens as there is room for."""
        tokens, ends = split.ragged(TOKENS), self.ends
        wholes = []
        for row in rows:
            first, *others = split.rows_of(int(split.example[row]))
            whole = np.concatenate([tokens.row(first), *(tokens.row(other)[1:] for other in others)])
            wholes.append(whole[:-1] if len(whole) > 1 and whole[-1] in ends else whole)
        return self._side_by_side([whole[-self.room :] for whole in wholes])

    def for_readers(self) -> dict[str, Any]:
        """A text is gone on with at its end."""
        (ids,) = self.documents(["a"])
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        before = ids[: next(n for n in range(len(ids)) if ids[n : n + len(bare)] == bare)]
        behind = ids[len(before) + len(bare) :]
        kept = behind[:-1] if behind[-1:] and behind[-1] in self.ends else behind
        how = asked_by_readers.prompt(self.tokenizer, before, kept, self.room, "beginning", self.ends[:1])
        return {"prompt": how, "decoded": asked_by_readers.decoded(self.tokenizer)}

    def opening(self, messages: Sequence[Message]) -> np.ndarray | None:
        """All that was said, in one text."""
        (ids,) = self.documents(["".join(message["content"] for message in messages)])
        return np.array(ids[:-1] if len(ids) > 1 and ids[-1] in self.ends else ids, dtype=np.int64)

    def _halves(self, split: Split, row: int) -> tuple[np.ndarray, np.ndarray]:
        whole = split.ragged(TOKENS).row(row)
        middle = max(1, min(len(whole) // 2, self.room, SHOWN))
        return whole[:middle], whole[middle:]

    def _side_by_side(self, rows: Sequence[np.ndarray]) -> Arrays:
        return left_padded(rows, int(self.tokenizer.pad_token_id or 0))

    def windows_of(self, row: Row) -> Sequence[Any]:
        """The parts of a document."""
        return parts_of(self.tokenizer, str(row.text), self.reader.max_length, 1)

    def documents(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, with what the tokenizer puts before one, and its end token behind."""
        if not texts:
            return []
        made = self.tokenizer(list(texts), split_special_tokens=True, verbose=False, return_attention_mask=False)
        end = self.tokenizer.eos_token_id
        each = texts_of(self.tokenizer, made)
        return [ids if end is None or ids[-1:] == [end] else [*ids, end] for ids in each]


def cut(ids: Sequence[int], longest: int) -> list[Sequence[int]]:
    """The parts of a document; each begins with the last token of the one before it, which is not said again."""
    if longest < 2:
        return [ids[:1]]
    return [ids[start : start + longest] for start in range(0, max(1, len(ids) - 1), longest - 1)]
