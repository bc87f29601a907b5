"""Each token of a document from those before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from launcher.recipe.language_tasks import CausalLanguageModel
from launcher.training.batches.split import TOKENS, Ragged, Split
from launcher.training.data import Row
from launcher.training.tasks.base import Encoded
from launcher.training.tasks.words_said import WordsWork


class Work(WordsWork):
    """See `launcher.training.tasks.base.TaskWork`."""

    metric_names = tuple(CausalLanguageModel.metrics)

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

    def documents(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, with what the tokenizer puts before one, and its end token behind."""
        if not texts:
            return []
        made = self.tokenizer(list(texts), split_special_tokens=True, verbose=False, return_attention_mask=False)
        end = self.tokenizer.eos_token_id
        return [ids if end is None or ids[-1:] == [end] else [*ids, end] for ids in made["input_ids"]]


def cut(ids: Sequence[int], longest: int) -> list[Sequence[int]]:
    """The parts of a document; each begins with the last token of the one before it, which is not said again."""
    if longest < 2:
        return [ids[:1]]
    return [ids[start : start + longest] for start in range(0, max(1, len(ids) - 1), longest - 1)]
