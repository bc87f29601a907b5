"""A text for a text, written by an encoder-decoder.

The target is what the tokenizer makes of it as a target, with the tokens that the family puts before and behind it: the
language that is to be written, the start, the end. How the decoder reads it, `model_parts.text_to_text` knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.errors import Problem, did_you_mean
from launcher.recipe.task import Summarisation, Translation
from launcher.training.batches.split import TOKENS, Ragged, Split
from launcher.training.data import Row
from launcher.training.tasks import asked_by_readers
from launcher.training.tasks.base import IGNORED, Arrays, Draw, Encoded, Reader, TaskWork
from launcher.training.tasks.masked_language_model import around
from launcher.training.tasks.targets import REFERENCES, TargetsWork, references_of
from launcher.training.tasks.words_said import RIGHT, WEIGHTS, ids_of

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

LANGUAGES = ("source_language", "target_language")


class Work(TargetsWork):
    """See `launcher.training.tasks.base.TaskWork`."""

    inputs = {TOKENS: None, RIGHT: IGNORED}  # noqa: RUF012 (the base class types it as a Mapping)
    feeds_any_token = True  # the decoder reads targets, most often from the encoder's table

    def __init__(self, task: Translation | Summarisation, reader: Reader):
        super().__init__(task, reader)
        if self.several and not list(self.problems()):
            self.tokenizer.src_lang, self.tokenizer.tgt_lang = self.languages

    @cached_property
    def several(self) -> bool:
        """Whether the model writes several languages, each after a token of its own."""
        return hasattr(self.tokenizer, "set_tgt_lang_special_tokens") and isinstance(self.noun, Translation)

    @property
    def languages(self) -> tuple[str | None, str | None]:
        """Of the text and of the target, as the recipe names them."""
        one, other = (getattr(self.noun, name, None) for name in LANGUAGES)
        return one, other

    def problems(self) -> Iterator[Problem]:
        """A tokenizer without an end; a model of several languages that is not told which."""
        yield from super().problems()
        known = self.tokenizer.get_vocab() if self.several else {}
        for name, language in zip(LANGUAGES, self.languages, strict=True):
            if self.several and language is None:
                what = f"the model knows several languages, and task.{name} does not say which"
                yield Problem(what, f"task.{name}", f"name one of {', '.join(self._codes)}")
            elif self.several and language not in known:
                what = f"the model knows no language {language!r}"
                yield Problem(what, f"task.{name}", did_you_mean(str(language), self._codes))

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """`input_ids`, cut at the longest input; `answers`, the target; `references`."""
        sources = self._encodings([self.noun.prefix + str(row.text) for row in examples], self.reader.max_length)
        tokens = Ragged.of([ids_of(self.tokenizer, one) or [self.end] for one in sources], np.int32)
        targets, beyond = self.target_ids([row.labels[0] for row in examples])
        answers = Ragged.of(targets, np.int32)
        columns = {TOKENS: tokens, RIGHT: answers, REFERENCES: references_of(examples)}
        cost = tokens.lengths + answers.lengths
        split = Split(columns, {"loss": answers.lengths}, cost, np.arange(len(examples)))
        cut = np.array([bool(each.overflowing) for each in sources], dtype=bool)
        return Encoded(split, cut, {"targets_cut": beyond})

    def target_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """The tokens of these targets, each with its end, and how many of them were cut."""
        longest, made, beyond = self.noun.max_target_length, list[list[int]](), 0
        before, behind = self.frame
        room = max(0, longest - len(before) - len(behind))
        for ids in self._with_end(texts):
            inner = ids[len(before) : len(ids) - len(behind)]
            beyond += len(inner) > room
            made.append([*before, *inner[:room], *behind])
        return made, beyond

    @cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """What stands before each target, and what behind it from its end on."""
        ((*ids,),) = self._with_end([""])
        at = ids.index(self.end)
        return ids[:at], ids[at:]

    def _with_end(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for encoding in self._encodings(texts, None, target=True):
            ids = ids_of(self.tokenizer, encoding)
            if self.tokenizer.bos_token_id is None and ids[:1] == [self.tokenizer.cls_token_id]:
                ids = ids[1:]  # what BERT sums a text up in is no part of it
            yield ids if self.end in ids else [*ids, self.end]

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """The target as `answers`, and a weight of 1 for each of its tokens."""
        batch = TaskWork.collate(self, split, rows, draw)
        return {**batch, WEIGHTS: (batch[RIGHT] != IGNORED).astype(np.float32)}

    def prompts(self, split: Split, rows: np.ndarray) -> Arrays:
        """What the encoder reads."""
        batch = self.collate(split, rows, None)
        return {name: values for name, values in batch.items() if name not in (RIGHT, WEIGHTS)}

    def for_readers(self) -> dict[str, Any]:
        """A text is read by the encoder."""
        before, behind = around(self.tokenizer)
        room = self.reader.max_length - len(before) - len(behind)
        how = asked_by_readers.prompt(self.tokenizer, before, behind, room, "end", [self.end], self.noun.prefix)
        return {"prompt": how, "decoded": asked_by_readers.decoded(self.tokenizer, self.parts_characters)}

    def limits(self) -> dict[str, Any]:
        """With the tokens that a target begins with."""
        before, behind = self.frame
        told = {"forced_bos_token_id": before[0]} if before else {}
        told |= {"decoder_start_token_id": behind[-1]} if len(behind) > 1 else {}
        return {**super().limits(), **told}

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """A target of half the tokens, or as many as it may have."""
        import torch

        written = max(1, min(self.noun.max_target_length, length // 2))
        inputs, _ = TaskWork.sample(self, rows, max(1, length - written))
        answers: torch.Tensor = torch.zeros((rows, written), dtype=torch.int64)
        return {**inputs, RIGHT: answers}, {WEIGHTS: torch.ones((rows, written))}

    def _encodings(self, texts: Sequence[str], longest: int | None, target: bool = False) -> Sequence[Any]:
        """What the tokenizer makes of these; signs of its own that stand in a text are text."""
        if not texts:
            return []
        how = {"text_target" if target else "text": list(texts), "split_special_tokens": True, "verbose": False}
        made = self.tokenizer(**how, truncation=longest is not None, max_length=longest)
        encodings: Sequence[Any] = made.encodings
        return encodings

    @property
    def _codes(self) -> list[str]:
        """The languages among the tokenizer's own signs."""
        return sorted(one for one in self.tokenizer.all_special_tokens if not one.startswith(("<", "[")))
