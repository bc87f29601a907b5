"""A text for a text, written by a model that continues texts: it reads the filled template, and the target follows.

The target alone is learnt. Template, text and target are tokenised apart, so that none of them changes the others'
tokens, and signs of the tokenizer's own that stand in a text are text; those of the template count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from launcher.errors import Problem
from launcher.recipe.template import parts_of
from launcher.training.batches.split import TOKENS, Ragged, Split
from launcher.training.data import Row
from launcher.training.tasks import asked_by_readers
from launcher.training.tasks.base import Arrays, Encoded
from launcher.training.tasks.targets import REFERENCES, TargetsWork, references_of
from launcher.training.tasks.words_said import SAID, ids_of
from launcher.training.tasks.writing import left_padded


class Around(NamedTuple):
    """The tokens before the text and behind it, and the white space that the target begins with."""

    before: list[int]
    behind: list[int]
    space: str


class Work(TargetsWork):
    """See `launcher.training.tasks.base.TaskWork`."""

    @cached_property
    def around(self) -> Around:
        """The template as tokens. White space at its end counts to the target: most models' tokens begin with it."""
        (before, _), (behind, _) = parts_of(str(self.noun.template))
        space = behind[len(behind.rstrip(" ")) :]
        inner, end = self._ids([before, behind.rstrip(" ")], as_text=False)
        return Around([*self._opening, *inner], end, space)

    @property
    def _opening(self) -> list[int]:
        """What the tokenizer puts before a text; what it puts behind one does not belong here, where more follows."""
        (one,) = self.tokenizer(["a"], verbose=False).encodings
        return one.ids[: one.special_tokens_mask.index(0)] if 0 in one.special_tokens_mask else []

    @property
    def longest_text(self) -> int:
        """In tokens: what the template and the longest target leave of an input."""
        before, behind, _ = self.around
        return self.reader.max_length - self._longest_target - len(before) - len(behind)

    @property
    def _longest_target(self) -> int:
        """Of those that are learnt, and those that are written."""
        return max(self.noun.max_target_length, self.generation.max_new_tokens)

    def problems(self) -> Iterator[Problem]:
        """A tokenizer without an end; no room for a text."""
        yield from super().problems()
        if self.longest_text < 1:
            written, longest = self._longest_target, self.reader.max_length
            taken = longest - written - self.longest_text
            what = f"the template takes {taken} tokens and the longest target {written}, of an input's {longest}"
            do = "make it shorter (and task.generation.max_new_tokens), or embedding.max_length larger"
            yield Problem(what, "task.max_target_length", do)

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """`input_ids`, the filled template and the target, of which `said` names the target; `references`."""
        texts = self._ids([str(row.text) for row in examples])
        targets = self._ids([self.around.space + row.labels[0] for row in examples])
        longest, (before, behind, _) = self.noun.max_target_length - 1, self.around
        read = [[*before, *text[: self.longest_text], *behind] for text in texts]
        written = [[*target[:longest], self.end] for target in targets]
        both = list(zip(read, written, strict=True))
        tokens = Ragged.of([[*one, *other] for one, other in both], np.int32)
        said = Ragged.of([[0] * len(one) + [1] * len(other) for one, other in both], np.uint8)
        columns = {TOKENS: tokens, SAID: said, REFERENCES: references_of(examples)}
        counts = np.array([len(one) for one in written], dtype=np.int64)
        split = Split(columns, {"loss": counts}, tokens.lengths, np.arange(len(examples)))
        cut = np.array([len(text) > self.longest_text for text in texts], dtype=bool)
        return Encoded(split, cut, {"targets_cut": sum(len(target) > longest for target in targets)})

    def as_read(self, row: Row) -> Row:
        """In the template."""
        (before, _), (behind, _) = parts_of(str(self.noun.template))
        return replace(row, text=f"{before}{row.text}{behind}")

    def prompts(self, split: Split, rows: np.ndarray) -> Arrays:
        """The filled templates, padded on the left: `input_ids` and `attention_mask`, int64 [rows, longest]."""
        tokens, said = split.ragged(TOKENS), split.ragged(SAID)
        read = [tokens.row(row)[: int(np.argmax(said.row(row)))] for row in rows]
        return left_padded(read, int(self.tokenizer.pad_token_id or 0))

    def for_readers(self) -> dict[str, Any]:
        """A text stands in the template."""
        before, behind, _ = self.around
        how = asked_by_readers.prompt(self.tokenizer, before, behind, self.longest_text, "end", self.ends[:1])
        return {"prompt": how, "decoded": asked_by_readers.decoded(self.tokenizer, self.parts_characters)}

    def _ids(self, texts: Sequence[str], as_text: bool = True) -> list[list[int]]:
        """Tokens alone; `as_text`: without those of the tokenizer's own."""
        if not texts:
            return []
        how: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": as_text, "verbose": False}
        encodings = self.tokenizer(list(texts), **how).encodings
        return [ids_of(self.tokenizer, one) if as_text else list(one.ids) for one in encodings]
