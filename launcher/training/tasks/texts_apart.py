"""Rows that are several inputs of the model, which each is computed by itself: texts that become vectors, or a query
with each of its passages.

A row of the split has the tokens of all its inputs, one after another, so that a batch of rows has what belongs
together. `collate` takes them apart: the first inputs of all rows come first, in the order of the rows, then the second
ones, and so on. Outputs have that order.

A task that `couples` rows has the first inputs of all rows computed apart from the others: queries are not padded to
the length of passages. What stands in a batch several times, as a passage that answers two queries, is computed once.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.batches.split import FURTHER, LENGTHS, SHARED, TOKENS, Column, Ragged, Split
from launcher.training.tasks.base import Arrays, Draw, Encoded, TaskWork
from launcher.training.tasks.texts import TYPES, tells_pairs_apart, token_ids

if TYPE_CHECKING:
    from launcher.training.data import Row
    from launcher.training.model_parts.outputs import Tensors

Text = str | tuple[str, str]


class TextsApart(TaskWork):
    """See `launcher.training.tasks.base.TaskWork`. A subclass says what the inputs of a row of the data are."""

    called: tuple[str, ...]
    """What the inputs of a row are, the last name that of all others."""
    inputs: Mapping[str, int | None] = {TOKENS: None, TYPES: 0}

    def inputs_of(self, row: Row) -> Sequence[Text]:
        """The texts, or pairs of them, that the model computes for a row: at least one."""
        raise NotImplementedError

    def columns_of(self, examples: Sequence[Row]) -> tuple[dict[str, Column], np.ndarray]:
        """What else a row has, and its targets."""
        raise NotImplementedError

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """`input_ids` of all inputs of a row, each cut at the longest input, with the `lengths` of each."""
        of_rows = [self.inputs_of(row) for row in examples]
        encodings = self._encodings([text for texts in of_rows for text in texts])
        ends = np.cumsum([0, *(len(texts) for texts in of_rows)])
        ids = token_ids(self.tokenizer, encodings)
        cuts = [slice(start, stop) for start, stop in itertools.pairwise(ends)]
        tokens = Ragged.of([[one for part in ids[cut] for one in part] for cut in cuts], np.int32)
        columns: dict[str, Column] = {TOKENS: tokens}
        if encodings and isinstance(of_rows[0][0], tuple) and tells_pairs_apart(self.tokenizer):
            types = [each.type_ids or [0] for each in encodings]
            columns[TYPES] = Ragged.of([[one for part in types[cut] for one in part] for cut in cuts], np.uint8)
        columns[LENGTHS] = Ragged.of([[len(part) for part in ids[cut]] for cut in cuts], np.int32)
        others, targets = self.columns_of(examples)
        split = Split({**columns, **others}, {"loss": targets}, tokens.lengths, np.arange(len(examples)))
        truncated = [any(bool(each.overflowing) for each in encodings[cut]) for cut in cuts]
        return Encoded(split, np.array(truncated, dtype=bool))

    def _encodings(self, texts: Sequence[Text]) -> Sequence[Any]:
        if not texts:
            return []
        pairs = [text for text in texts if isinstance(text, tuple)]
        given = [list(side) for side in zip(*pairs, strict=True)] if pairs else [list(texts)]
        made = self.tokenizer(*given, truncation=True, max_length=self.reader.max_length)
        encodings: Sequence[Any] = made.encodings
        return encodings

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """The inputs of these rows, padded, and what is `wanted` of them.

        In training every row has a first input and others, so that all ranks compute as many passes.
        """
        starts, lengths = self._places(split, rows)
        first = len(rows) if self.couples else len(starts)  # a step of another shape takes inputs as one
        batch = self._inputs(split, starts[:first], lengths[:first])
        if first < len(starts):
            others = self._inputs(split, starts[first:], lengths[first:])
            batch |= {FURTHER + name: values for name, values in others.items()}
        return {**batch, **self.wanted_of(split, rows)}

    def wanted_of(self, split: Split, rows: np.ndarray) -> Arrays:
        """What the loss takes of these rows."""
        raise NotImplementedError

    def _inputs(self, split: Split, starts: np.ndarray, lengths: np.ndarray) -> Arrays:
        """Those whose tokens stand there, padded."""
        batch = {}
        if self.couples:
            tokens, numbers = split.ragged(TOKENS).values, dict[bytes, int]()
            texts = (tokens[start : start + length].tobytes() for start, length in zip(starts, lengths, strict=True))
            which = np.array([numbers.setdefault(text, len(numbers)) for text in texts])
            if len(numbers) < len(which):
                batch[SHARED] = which
                _, first = np.unique(which, return_index=True)
                starts, lengths = starts[first], lengths[first]
        width = int(lengths.max())
        for name, fill in ((TOKENS, int(self.tokenizer.pad_token_id or 0)), (TYPES, 0)):
            if name not in split.columns:
                continue
            values = split.ragged(name).values
            batch[name] = np.full((len(starts), width), fill, dtype=np.int64)
            for place, (start, length) in enumerate(zip(starts, lengths, strict=True)):
                batch[name][place, :length] = values[start : start + length]
        if lengths.min() < width:
            batch["attention_mask"] = (np.arange(width)[None, :] < lengths[:, None]).astype(np.int64)
        return batch

    def _places(self, split: Split, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each input of these rows where its first token is among all tokens, and how many it has."""
        row, number = self.order(split, rows)
        lengths, tokens = split.ragged(LENGTHS), split.ragged(TOKENS)
        counts = lengths.lengths_of(rows)
        padded = lengths.padded(rows, 0)
        before = np.cumsum(padded, axis=1) - padded
        assert counts.sum() == len(row)
        return tokens.offsets[rows][row] + before[row, number], padded[row, number]

    def order(self, split: Split, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each input of these rows, in the order in which a batch has them, which of the rows it is of, and the
        how manieth there; int64 both.
        """
        counts = split.ragged(LENGTHS).lengths_of(rows)
        number, row = np.nonzero(np.arange(int(counts.max()))[:, None] < counts[None, :])
        return row, number

    def outputs_among(self, split: Split, rows: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Where the outputs of `part`, a part of these rows, have their places among those of all of them."""
        order = np.argsort(rows, kind="stable")
        there = order[np.searchsorted(rows, part, sorter=order)]
        row, number = self.order(split, rows)
        own_row, own_number = self.order(split, part)
        places: np.ndarray = np.searchsorted(number * len(rows) + row, own_number * len(rows) + there[own_row])
        return places

    def by_row(self, values: np.ndarray, counts: np.ndarray) -> Ragged:
        """What a batch has in its order as rows: `counts` inputs of each."""
        number, row = np.nonzero(np.arange(int(counts.max()))[:, None] < counts[None, :])
        return Ragged(values[np.lexsort((number, row))], np.concatenate([[0], np.cumsum(counts)]))

    def as_seen(self, row: Row) -> dict[str, Any]:
        """Its inputs one after another, the first token of each with what it is called."""
        encodings, unknown = self._encodings(self.inputs_of(row)), self.tokenizer.unk_token_id
        tokens = [
            {
                "token": str(self.tokenizer.decode([one])).strip() or name,
                "label": self.called[min(number, len(self.called) - 1)] if place == 0 else None,
                "unknown": one == unknown,
                "special": bool(special),
                "text": "",
            }
            for number, encoding in enumerate(encodings)
            for place, (one, name, special) in enumerate(
                zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, strict=True)
            )
        ]
        cut = sum(len(other.ids) for encoding in encodings for other in encoding.overflowing)
        return {"where": row.where, "label": None, "tokens": tokens, "cut": {"tokens": cut, "text": ""}}

    def shown(self, split: Split, row: int) -> str:
        """Its inputs one below the other, as tokens."""
        names, ends = self.tokens_of(split, row), np.cumsum([0, *split.ragged(LENGTHS).row(row)])
        return "\n".join(" ".join(names[start:stop]) for start, stop in itertools.pairwise(ends))

    def texts_in_sample(self, rows: int, length: int) -> tuple[int, int]:
        """How many inputs so many rows are, and how long each: of rows whose inputs have `length` tokens in all."""
        longest = min(length, self.reader.max_length)
        return rows * max(2, -(-length // longest)), longest

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """Rows of two inputs, or of as many as have so many tokens."""
        inputs, _ = super().sample(*self.texts_in_sample(rows, length))
        return inputs, self.wanted_in_sample(rows, len(inputs[TOKENS]))

    def wanted_in_sample(self, rows: int, inputs: int) -> Tensors:
        """What is wanted of so many rows and inputs."""
        raise NotImplementedError


def keys_of(texts: Iterator[str] | Sequence[str]) -> list[int]:
    """A number for each text, the same for the same text (without the white space around it) and for no other."""
    digests = (hashlib.blake2b(text.strip().encode(), digest_size=8).digest() for text in texts)
    return [int.from_bytes(digest, "little", signed=True) for digest in digests]
