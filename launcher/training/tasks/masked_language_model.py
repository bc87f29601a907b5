"""Hidden tokens of a document from those around them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.errors import DataError, Problem
from launcher.exported.given import no_mask
from launcher.recipe.language_tasks import MaskedLanguageModel
from launcher.training.batches.split import TOKENS, Column, Ragged, Split, as_ragged
from launcher.training.data import Row, jieba_words
from launcher.training.tasks import masking
from launcher.training.tasks.base import Arrays, Draw, Encoded, Kept, Reader, Text
from launcher.training.tasks.texts import on_host
from launcher.training.tasks.words_said import (
    LIKELIEST,
    RIGHT,
    WEIGHTS,
    WHERE,
    WordsWork,
    added_text,
    asked,
    own_signs,
    parts_of,
)

if TYPE_CHECKING:
    from launcher.training.model_parts.outputs import Tensors

WORD = "word"
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
FILL = "fill"
"""The label of a row whose masks the user wrote."""


class Work(WordsWork):
    """See `launcher.training.tasks.base.TaskWork`. Rows hold the tokens of the text alone; `collate` frames them."""

    metric_names = tuple(MaskedLanguageModel.metrics)
    outputs: tuple[str, ...] = (*WordsWork.outputs, LIKELIEST)
    feeds_any_token = True

    def __init__(self, task: MaskedLanguageModel, reader: Reader):
        super().__init__(task, reader)
        self.noun = task

    def problems(self) -> Iterator[Problem]:
        """A model without a mask."""
        if self.tokenizer.mask_token_id is None:
            what = "the model's tokenizer has no mask: it continues a text"
            yield Problem(what, "task", "use CausalLanguageModel(), or a model of BERT's kind")

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """The parts of each document: `input_ids`, and `word`, the number of each token's word in its row."""
        rows, words, example = list[Sequence[int]](), list[Sequence[int]](), list[int]()
        longest = max(1, self.reader.max_length - sum(map(len, self.frame)))
        for number, (ids, word) in enumerate(self.tokenised(examples)):
            starts = range(0, max(1, len(ids)), longest)
            masked = [start for start in starts if self.tokenizer.mask_token_id in ids[start : start + longest]]
            for start in masked or starts:  # where the user wrote masks, nothing else is asked
                rows.append(ids[start : start + longest])
                words.append(word[start : start + longest])
                example.append(number)
        return self.made(rows, words, example, {})

    def made(
        self,
        rows: Sequence[Sequence[int]],
        words: Sequence[Sequence[int]],
        example: Sequence[int],
        columns: Mapping[str, Column],
    ) -> Encoded:
        """Rows of tokens and their words, numbered from 0 in each row."""
        tokens = Ragged.of(rows, np.int32)
        numbered = [(np.asarray(word) - word[0] if len(word) else np.zeros(0)).astype(np.int32) for word in words]
        cost = tokens.lengths + sum(map(len, self.frame))
        split = Split(
            {TOKENS: tokens, WORD: Ragged.of([list(word) for word in numbered], np.int32), **columns},
            {"loss": np.zeros(len(rows), dtype=np.int64)},
            cost,
            np.array(example, dtype=np.int64),
        )
        counts = np.array([len(self.hidden(split, row, None).places) for row in range(split.rows)], dtype=np.int64)
        examples = split.examples
        return Encoded(Split(split.columns, {"loss": counts}, cost, split.example), np.zeros(examples, dtype=bool))

    def tokenised(self, examples: Sequence[Row]) -> Iterator[tuple[list[int], list[int]]]:
        """Of each text its tokens, and the number of the word that each belongs to."""
        own = own_signs(self.tokenizer)
        for row in examples:
            if row.label == FILL:
                ids = self.with_masks(str(row.text))
                yield ids, list(range(len(ids)))
                continue
            (encoding,) = self._encodings([str(row.text)], plain=True)
            yield self._without(own, encoding.ids), self.words_in(str(row.text), encoding)

    def with_masks(self, text: str) -> list[int]:
        """The tokens of a text in which the mask is a mask, and any other sign of the tokenizer's own is text."""
        others = [name for name in self.tokenizer.all_special_tokens if name != self.tokenizer.mask_token]
        parts = re.split(f"({'|'.join(sorted(map(re.escape, others), key=len, reverse=True)) or '(?!)'})", text)
        given = [each.ids for n, part in enumerate(parts) if part for each in self._encodings([part], plain=n % 2 == 1)]
        return self._without(own_signs(self.tokenizer) - {self.tokenizer.mask_token_id}, itertools.chain(*given))

    def _without(self, signs: Container[int], ids: Iterable[int]) -> list[int]:
        """Some tokenizers have their signs among the pieces of texts, whatever they are told."""
        unknown = self.tokenizer.unk_token_id
        return [unknown if unknown is not None and number in signs else number for number in ids]

    def _encodings(self, texts: Sequence[str], plain: bool) -> Sequence[Any]:
        made: Any = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=plain, verbose=False)
        encodings: Sequence[Any] = made.encodings
        return encodings

    def windows_of(self, row: Row) -> Sequence[Any]:
        """The parts of a document."""
        return parts_of(self.tokenizer, str(row.text), self.reader.max_length, 0)

    def words_in(self, text: str, encoding: Any) -> list[int]:
        """The number of each token's word: itself, unless words are hidden as a whole."""
        if not self.noun.whole_words:
            return list(range(len(encoding.ids)))
        of_jieba = np.zeros(len(text) + 1, dtype=np.int64)
        if HAN.search(text):
            for number, (word, start) in enumerate(jieba_words.words(text), 1):
                of_jieba[start : start + len(word)] = number
        numbers, count, before = list[int](), -1, (None, 0)
        for (start, end), word in zip(encoding.offsets, encoding.word_ids, strict=True):
            start += len(text[start:end]) - len(text[start:end].lstrip())  # some pieces begin with a space
            chinese = int(of_jieba[start]) if HAN.match(text[start : start + 1]) else 0
            same = chinese == before[1] if chinese or before[1] else word == before[0]
            count += not (numbers and same)
            numbers.append(count)
            before = (word, chinese)
        return numbers

    def hidden(self, split: Split, row: int, draw: Draw | None) -> masking.Hidden:
        """What of a row is hidden; where the user wrote masks, these."""
        tokens, word, mask = split.ragged(TOKENS).row(row), split.ragged(WORD).row(row), self.tokenizer.mask_token_id
        assert mask is not None
        if (tokens == mask).any():
            at = np.flatnonzero(tokens == mask)
            return masking.Hidden(at, tokens[at].astype(np.int64))
        return masking.hidden(tokens, word, self.noun.masked, draw, mask, self.others)

    def targets(self, split: Split, rows: np.ndarray, draw: Draw | None) -> dict[str, int]:
        """As many as are hidden; whole words may leave some room."""
        if not self.noun.whole_words:
            return super().targets(split, rows, draw)
        return {"loss": sum(len(self.hidden(split, row, draw).places) for row in rows.tolist())}

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """The rows with what is hidden, in the tokenizer's frame; `answer_at`, `answers` and `weights` of that."""
        before, after = self.frame
        framed, places, right = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
        for row in rows.tolist():
            tokens = split.ragged(TOKENS).row(row).astype(np.int64)
            hidden = self.hidden(split, row, draw)
            right.append(tokens[hidden.places])
            tokens[hidden.places] = hidden.shown
            framed.append(np.concatenate([before, tokens, after]).astype(np.int64))
            places.append(hidden.places + len(before))
        return self.batch(framed, places, right)

    def batch(self, rows: Sequence[np.ndarray], places: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> Arrays:
        """Framed rows side by side, and the words that are asked for."""
        width = max(len(row) for row in rows)
        tokens = np.full((len(rows), width), int(self.tokenizer.pad_token_id or 0), dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for number, row in enumerate(rows):
            tokens[number, : len(row)], mask[number, : len(row)] = row, 1
        ones = [np.ones(len(one), dtype=np.float32) for one in places]
        words = asked([one - width for one in places], list(right), ones)
        return {TOKENS: tokens, **({} if mask.all() else {"attention_mask": mask}), **words}

    @cached_property
    def frame(self) -> tuple[np.ndarray, np.ndarray]:
        """What the tokenizer puts before a text, and behind it."""
        before, after = around(self.tokenizer)
        return np.array(before, dtype=np.int64), np.array(after, dtype=np.int64)

    @cached_property
    def others(self) -> np.ndarray:
        """All tokens but those with a meaning of their own."""
        return np.setdiff1d(np.arange(len(self.tokenizer)), self.tokenizer.all_special_ids)

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """With as many hidden as the part says."""
        inputs, wanted = super().sample(rows, length)
        words = max(1, round(self.noun.masked * length))
        few = {name: values[:, :words] for name, values in inputs.items() if name in (WHERE, RIGHT)}
        return {**inputs, **few}, {WEIGHTS: wanted[WEIGHTS][:, :words]}

    def example(self, text: Text) -> Row:
        """A text with masks that are to be filled in. Raises DataError for one without."""
        mask = str(self.tokenizer.mask_token)
        if mask not in str(text):
            raise DataError(no_mask(mask))
        return Row(str(text), FILL, "")

    def for_readers(self) -> dict[str, Any]:
        """Which sign is the mask, which others are text where they stand in one, and what is put around a text."""
        own = own_signs(self.tokenizer) - {self.tokenizer.mask_token_id}
        signs = [name for name in self.tokenizer.all_special_tokens if name != self.tokenizer.mask_token]
        return {
            "mask": [self.tokenizer.mask_token, self.tokenizer.mask_token_id],
            "signs": sorted(signs, key=len, reverse=True),
            "own": sorted(own),
            "unknown": self.tokenizer.unk_token_id,
            "around": [part.tolist() for part in self.frame],
        }

    def detail(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Column]:
        """`words`, the likeliest token of each place, ragged; only `tell` takes it."""
        likeliest = on_host(outputs[LIKELIEST], np.int64)
        counts = on_host(wanted[WEIGHTS].bool().sum(dim=-1), np.int64)
        return {"words": Ragged.of([row[:count] for row, count in zip(likeliest, counts, strict=True)], np.int64)}

    def numbers_in_detail(self, split: Split) -> int:
        """One for each hidden token."""
        return int(split.targets["loss"].sum())

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"text", "words"}`: the text filled in, and with what."""
        words = as_ragged(kept.details["words"])
        given = [int(number) for row in rows for number in words.row(row)]
        assert self.tokenizer.mask_token_id is not None
        said = [added_text(self.tokenizer, [self.tokenizer.mask_token_id], [number]).strip() for number in given]
        parts = str(text).split(str(self.tokenizer.mask_token))
        filled = "".join(part + word for part, word in zip(parts, [*said, ""], strict=False))
        return {"text": filled, "words": said}

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The text, filled in."""
        return str(answer["text"]) if "words" in answer else super().printed(text, answer, top)


def around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before a text, and behind it."""
    word = next(token for token in ("a", "1", ".", "的") if tokenizer(token, add_special_tokens=False)["input_ids"])
    bare, framed = (tokenizer(word, add_special_tokens=given)["input_ids"] for given in (False, True))
    first = next(n for n in range(len(framed)) if framed[n : n + len(bare)] == bare)
    return framed[:first], framed[first + len(bare) :]
