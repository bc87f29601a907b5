"""Masked words, and whether two parts of a text follow each other, as BERT was pretrained.

A row is two neighbouring parts of a document, sentence by sentence, each at most half of the longest input. In half of
the rows the second part is that of another document: which ones, and of which, is drawn like what is hidden.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.recipe.language_tasks import MaskedLanguageModel
from launcher.training.batches.order import uniforms
from launcher.training.batches.split import TOKENS, Split, as_array
from launcher.training.data import Row
from launcher.training.tasks import masking
from launcher.training.tasks.base import Arrays, Draw, Encoded, Kept, Reader
from launcher.training.tasks.masked_language_model import FILL, WORD
from launcher.training.tasks.masked_language_model import Work as Masked
from launcher.training.tasks.texts import TYPES, on_host

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

FIRST = "first"
FOLLOWS, ELSEWHERE = 0, 1
SENTENCE = re.compile(r"[^\n。！？!?.]+[。！？!?.]*[”\"'）)]*|[。！？!?.]+")
LABEL, LOGITS = "next_sentence_label", "seq_relationship_logits"
TRIES = 8
"""Draws of another document before the first that is another one is taken."""


class Work(Masked):
    """See `launcher.training.tasks.base.TaskWork`. `first` says how many tokens of a row are of its first part."""

    metric_names = ("perplexity", "token_accuracy", "next_sentence_accuracy", "loss")
    wanted = {**Masked.wanted, LABEL: FOLLOWS}  # noqa: RUF012 (the base class types it as a Mapping)
    outputs = (*Masked.outputs, LOGITS)

    def __init__(self, task: MaskedLanguageModel, reader: Reader):
        super().__init__(task, reader)
        self.half = max(1, (reader.max_length - 3) // 2)

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """The pairs of each document; one that has a single sentence is parted in its middle. A text with masks that
        are to be filled in is no pair.
        """
        if any(row.label == FILL for row in examples):
            return super().encode(examples)
        rows, words, example, first = list[Sequence[int]](), list[Sequence[int]](), list[int](), list[int]()
        for number, row in enumerate(examples):
            for one, other in pairs(list(self.sentences(row)), self.half):
                rows.append([token for token, _ in (*one, *other)])
                words.append(_numbered([name for _, name in (*one, *other)]))
                example.append(number)
                first.append(len(one))
        made = self.made(rows, words, example, {FIRST: np.array(first, dtype=np.int64)})
        split = made.split
        targets = {"loss": split.targets["loss"], "next": np.ones(split.rows, dtype=np.int64)}
        return Encoded(Split(split.columns, targets, split.cost + 1, split.example), made.truncated)

    def sentences(self, row: Row) -> Iterator[list[tuple[int, Any]]]:
        """The tokens of each sentence, each with its word's name."""
        parts = (match.group() for match in SENTENCE.finditer(str(row.text)))
        for count, sentence in enumerate(part for part in parts if part.strip()):
            for ids, word in self.tokenised([Row(sentence, "", "")]):
                yield [(token, (count, number)) for token, number in zip(ids, word, strict=True)]

    def targets(self, split: Split, rows: np.ndarray, draw: Draw | None) -> dict[str, int]:
        """One answer a row besides the hidden tokens, which are known once the second parts are."""
        hidden = sum(len(self.made_of(split, row, draw)[1].places) for row in rows.tolist())
        return {"loss": hidden, "next": len(rows)}

    def made_of(self, split: Split, row: int, draw: Draw | None) -> tuple[np.ndarray, masking.Hidden, int, int]:
        """Tokens of both parts, what of them is hidden, how many are of the first, and whether the second follows."""
        tokens, word, cut = split.ragged(TOKENS).row(row), split.ragged(WORD).row(row), int(split.array(FIRST)[row])
        other = self.elsewhere(split, row, draw)
        if other is not None:
            start = int(split.array(FIRST)[other])
            tokens = np.concatenate([tokens[:cut], split.ragged(TOKENS).row(other)[start:]])
            further = split.ragged(WORD).row(other)[start:]
            after = word[cut - 1] + 1 if cut else 0
            word = np.concatenate([word[:cut], further - (further[0] if len(further) else 0) + after])
        mask = self.tokenizer.mask_token_id
        assert mask is not None
        hidden = masking.hidden(tokens, word, self.noun.masked, draw, mask, self.others)
        return tokens, hidden, cut, FOLLOWS if other is None else ELSEWHERE

    def elsewhere(self, split: Split, row: int, draw: Draw | None) -> int | None:
        """The row whose second part is taken; None where the row keeps its own."""
        if split.examples < 2:
            return None
        numbers = uniforms(1 + TRIES, *masking.key_of(split.ragged(TOKENS).row(row), draw, 2))
        if numbers[0] < 0.5:
            return None
        others = (numbers[1:] * split.rows).astype(np.int64)
        of_another = others[split.example[others] != split.example[row]]
        if len(of_another):
            return int(of_another[0])
        return int(np.flatnonzero(split.example != split.example[row])[0])

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """Both parts in the tokenizer's frame, with `token_type_ids` where it has them."""
        if FIRST not in split.columns:
            return {**super().collate(split, rows, draw), LABEL: np.full(len(rows), FOLLOWS, dtype=np.int64)}
        before, between, after = self.of_pairs
        framed, places, right, types, labels = [], [], [], [], []
        for row in rows.tolist():
            tokens, hidden, cut, label = self.made_of(split, row, draw)
            right.append(tokens[hidden.places])
            tokens = tokens.astype(np.int64)
            tokens[hidden.places] = hidden.shown
            framed.append(np.concatenate([before, tokens[:cut], between, tokens[cut:], after]).astype(np.int64))
            places.append(hidden.places + len(before) + len(between) * (hidden.places >= cut))
            types.append(len(before) + cut + len(between))
            labels.append(label)
        batch = self.batch(framed, places, right)
        if TYPES in self.tokenizer.model_input_names:
            numbers = np.arange(batch[TOKENS].shape[1])[None, :]
            lengths = np.array([len(row) for row in framed])[:, None]
            batch[TYPES] = ((numbers >= np.array(types)[:, None]) & (numbers < lengths)).astype(np.int64)
        return {**batch, LABEL: np.array(labels, dtype=np.int64)}

    @cached_property
    def of_pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the tokenizer puts before, between and behind two texts."""
        bare, framed = self.tokenizer("a", add_special_tokens=False)["input_ids"], self.tokenizer("a", "a")["input_ids"]
        size = len(bare)
        first, *_, second = (n for n in range(len(framed)) if framed[n : n + size] == bare)
        parts = (framed[:first], framed[first + size : second], framed[second + size :])
        one, two, three = (np.array(part, dtype=np.int64) for part in parts)
        return one, two, three

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Of the hidden words, and cross entropy of the two answers."""
        from torch.nn.functional import cross_entropy

        following = cross_entropy(outputs[LOGITS].float(), wanted[LABEL], reduction="sum")
        return {**super().loss(outputs, wanted), "next": following}

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """Besides, `right`: whether the answer was, float32 [rows]."""
        right = (outputs[LOGITS].argmax(dim=-1) == wanted[LABEL]).float()
        return {**super().keep(outputs, wanted), "right": on_host(right, np.float32)}

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """With the part of pairs that were told right."""
        return {**super().score(split, kept), "next_sentence_accuracy": float(as_array(kept.values["right"]).mean())}

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """With one answer a row."""
        import torch

        inputs, wanted = super().sample(rows, length)
        return inputs, {**wanted, LABEL: torch.zeros((rows,), dtype=torch.int64)}


Token = tuple[int, Any]


def pairs(sentences: Sequence[Sequence[Token]], half: int) -> Iterator[tuple[list[Token], list[Token]]]:
    """Neighbouring parts of whole sentences, each of at most `half` tokens; longer sentences are cut. A last part that
    has no other beside it is parted itself.
    """
    parts, size = list[list[Sequence[Token]]]([[]]), 0
    for sentence in sentences:
        for start in range(0, len(sentence), half):
            piece = sentence[start : start + half]
            if size and size + len(piece) > half:
                parts.append([])
                size = 0
            parts[-1].append(piece)
            size += len(piece)
    if len(parts) % 2:
        parts += _halves(parts.pop())
    for one, other in zip(parts[::2], parts[1::2], strict=True):
        yield list(itertools.chain(*one)), list(itertools.chain(*other))


def _halves(part: Sequence[Sequence[Token]]) -> list[list[Sequence[Token]]]:
    """Parted after half of its sentences, or in the middle of its only one."""
    if len(part) < 2:
        whole = part[0] if part else []
        middle = (len(whole) + 1) // 2
        return [[whole[:middle]], [whole[middle:]]]
    middle = (len(part) + 1) // 2
    return [list(part[:middle]), list(part[middle:])]


def _numbered(names: Sequence[Any]) -> list[int]:
    """Numbers of words that have these names, one after the other."""
    return [0, *np.cumsum([one != other for one, other in itertools.pairwise(names)]).tolist()] if names else []
