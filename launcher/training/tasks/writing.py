"""What a task answers whose model writes texts: a class to inherit from besides `TaskWork`.

prompts      rows of a split -> what the model goes on from
written      the tokens that it wrote -> a text
score_texts  texts of many rows -> metrics, beside those of `score`
opening      a conversation -> the prompt for the next turn, in tasks that `launcher chat` can talk to
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.recipe.generation import Generation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from launcher.training.batches.split import Split
    from launcher.training.tasks.base import Arrays, Reader, TaskWork

SHOWN = 4
"""Rows that texts are written for where they are only shown."""
Message = Mapping[str, str]
"""`{"role": "user", "content": "…"}`."""


class Writes(ABC):
    """Beside `TaskWork`: `class Work(WordsWork, Writes)`."""

    task: Any
    reader: Reader
    tells_too = False
    """Whether `tell` says something of a raw text besides the text that follows it."""

    @property
    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of the model."""

    @property
    def generation(self) -> Generation:
        """How texts are written, as the noun says."""
        settings: Generation = getattr(self.task, "generation", None) or Generation()
        return settings

    @abstractmethod
    def prompts(self, split: Split, rows: np.ndarray) -> Arrays:
        """What the model goes on from, a row each: `input_ids` and `attention_mask`, int64 [rows, longest].

        Of a model of one stack padded on the left (`left_padded`), and no longer than `room`; of an encoder-decoder
        padded on the right.
        """

    def openings(self, split: Split, rows: np.ndarray) -> Arrays:
        """The same of raw texts, that `predict` asks about: `rows` are the last ones of each."""
        return self.prompts(split, rows)

    def written(self, ids: np.ndarray) -> str:
        """The text of the tokens that the model wrote, without the one that ends them."""
        text: Any = self.tokenizer.decode(ids.tolist(), skip_special_tokens=True)
        return str(text).strip()

    def asked(self, split: Split, rows: np.ndarray) -> list[str]:
        """What the model went on from, as it is shown."""
        prompts = self.prompts(split, rows)
        masks = prompts.get("attention_mask", np.ones_like(prompts["input_ids"])).astype(bool)
        return [self.written(ids[mask]) for ids, mask in zip(prompts["input_ids"], masks, strict=True)]

    def references(self, split: Split, rows: np.ndarray) -> list[str]:
        """What should have been written, a text each, as it is shown beside it; none where nothing is known."""
        return []

    def score_texts(self, split: Split, rows: np.ndarray, texts: Sequence[str]) -> dict[str, Any]:
        """Metrics of the texts written for these rows, which are in the order of the data. On rank 0."""
        return {}

    def opening(self, messages: Sequence[Message]) -> np.ndarray | None:
        """The prompt, int64 [tokens], for the turn after these messages; None in a task that holds no conversation.

        It is not cut: who asks leaves out the oldest turns until it fits into `room`.
        """
        return None

    @property
    def ends(self) -> list[int]:
        """The tokens that end a text."""
        end = self.tokenizer.eos_token_id
        end = self.tokenizer.sep_token_id if end is None else end
        return [] if end is None else [int(end)]

    @property
    def longest(self) -> int:
        """Most tokens of a text that is written. In a model of one stack half of its longest input at most."""
        return max(1, min(self.generation.max_new_tokens, self.reader.max_length // 2))

    @property
    def room(self) -> int:
        """Most tokens of a prompt in a model of one stack: what it writes must fit behind it."""
        return max(1, self.reader.max_length - self.longest)

    def limits(self) -> dict[str, Any]:
        """The noun's settings and the tokens that end and pad, under GenerationConfig's names."""
        ends, padding = self.ends, self.tokenizer.pad_token_id
        words = {name: value for name, value in asdict(self.generation).items() if name != "kind"}
        words |= {"max_new_tokens": self.longest, "eos_token_id": ends or None}
        words["min_new_tokens"] = min(words["min_new_tokens"], self.longest)
        words["pad_token_id"] = int(padding if padding is not None else ends[0] if ends else 0)
        return words

    def rows_to_write(self, split: Split, wanted: int | None) -> np.ndarray:
        """The rows of a split that texts are written for, evenly spread; `wanted` is `training.generate_rows`."""
        scored = type(self).score_texts is not Writes.score_texts
        count = min(split.rows, wanted or (split.rows if scored else SHOWN))
        return np.arange(count, dtype=np.int64) * split.rows // max(1, count)


def writer(work: TaskWork) -> Writes | None:
    """The task as one that writes; None where it does not."""
    return work if isinstance(work, Writes) else None


def left_padded(rows: Sequence[np.ndarray], fill: int) -> Arrays:
    """Prompts of different lengths side by side, each at the end of its row; `attention_mask` says where."""
    width = max(len(row) for row in rows)
    ids, mask = np.full((len(rows), width), fill, dtype=np.int64), np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, width - len(row) :], mask[number, width - len(row) :] = row, 1
    return {"input_ids": ids, "attention_mask": mask}
