"""What the tasks of language models share: the loss of each word that a model is to say, perplexity, and hits.

A row's tokens are in `input_ids`. Which of them are learnt, the optional column `said` tells, as the weight of each
token; without it all but the first are. The head computes where they are said and gives losses, not logits
(`model_parts.word_places`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.recipe.metrics import written
from launcher.training.batches.split import TOKENS, Split, as_array
from launcher.training.data import Row
from launcher.training.model_parts.word_names import HITS as HITS
from launcher.training.model_parts.word_names import LIKELIEST as LIKELIEST
from launcher.training.model_parts.word_names import LOSSES as LOSSES
from launcher.training.model_parts.word_names import MEANS as MEANS
from launcher.training.model_parts.word_names import RIGHT as RIGHT
from launcher.training.model_parts.word_names import WHERE as WHERE
from launcher.training.tasks.base import IGNORED, Arrays, Draw, Kept, TaskWork, Text
from launcher.training.tasks.texts import on_host

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

SAID = "said"
WEIGHTS = "weights"


class WordsWork(TaskWork):
    """A model that says words: see `launcher.training.tasks.base.TaskWork`."""

    metric_names: tuple[str, ...] = ("perplexity", "token_accuracy", "loss")
    inputs = {TOKENS: None}  # noqa: RUF012 (the base class types it as a Mapping)
    wanted = {WEIGHTS: 0}  # noqa: RUF012 (likewise)
    outputs: tuple[str, ...] = (LOSSES, MEANS, HITS)
    choices = frozenset({HITS, LIKELIEST})
    smoothing = 0.0
    """Part of each word's target that is shared out among all words; in the training loss only."""

    def example(self, text: Text) -> Row:
        """See `TaskWork`."""
        return Row(str(text), "", "")

    def collate(self, split: Split, rows: np.ndarray, draw: Draw | None) -> Arrays:
        """With `answer_at` and `answers`, int64 [rows, words], and their `weights`, float32; see `word_places`."""
        batch = super().collate(split, rows, draw)
        return {**batch, **self.words(split, rows, batch[TOKENS].shape[1])}

    def words(self, split: Split, rows: np.ndarray, width: int) -> Arrays:
        """Where the words of these rows are said, which they are, and how much each counts.

        A token is said by the state before it; `width` is that of the padded rows.
        """
        tokens, learnt = split.ragged(TOKENS), split.columns.get(SAID)
        weights = [
            np.ones(len(tokens.row(row))) if learnt is None else split.ragged(SAID).row(row)[: len(tokens.row(row))]
            for row in rows
        ]
        places = [1 + np.flatnonzero(one[1:]) for one in weights]
        return asked(
            [place - 1 - width for place in places],
            [tokens.row(row)[place] for row, place in zip(rows, places, strict=True)],
            [one[place] for one, place in zip(weights, places, strict=True)],
        )

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Cross entropy of each word, weighted, summed."""
        losses = outputs[LOSSES]
        if self.smoothing:
            losses = (1 - self.smoothing) * losses + self.smoothing * outputs[MEANS]
        return {"loss": (losses * wanted[WEIGHTS]).sum()}

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """`nats` of each row's words and how many were the likeliest, `hits`: float32 [rows]."""
        return {
            "nats": on_host(outputs[LOSSES].sum(dim=-1), np.float32),
            "hits": on_host(outputs[HITS].sum(dim=-1), np.float32),
        }

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Perplexity a token, and the part of tokens that were the likeliest; NaN where nothing was to be said."""
        words = self.targets(split, np.arange(split.rows), None)["loss"]
        if not words:
            return {"perplexity": math.nan, "token_accuracy": math.nan}
        nats, hits = (as_array(kept.values[name]).astype(np.float64).sum() for name in ("nats", "hits"))
        return {"perplexity": perplexity(float(nats) / words), "token_accuracy": float(hits) / words}

    def said(self, split: Split) -> np.ndarray:
        """How many words of each row are learnt, int64 [rows]."""
        return split.targets["loss"]

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"perplexity", "tokens"}` of one text."""
        words = int(self.said(split)[rows].sum())
        nats = float(as_array(kept.values["nats"])[rows].astype(np.float64).sum())
        return {"perplexity": perplexity(nats / words) if words else math.nan, "tokens": words}

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The perplexity before the text."""
        if "perplexity" not in answer:
            return super().printed(text, answer, top)
        return f"{written(answer['perplexity'])}\t{text}"

    def sample(self, rows: int, length: int) -> tuple[Tensors, Tensors]:
        """With every token but the first of each row to be said."""
        import torch

        inputs, _ = super().sample(rows, length)
        words = max(1, length - 1)
        places = torch.arange(-length, -length + words).expand(rows, words)
        answers = torch.zeros((rows, words), dtype=torch.int64)
        return {**inputs, WHERE: places, RIGHT: answers}, {WEIGHTS: torch.ones((rows, words))}


def asked(places: list[np.ndarray], words: list[np.ndarray], weights: list[np.ndarray]) -> Arrays:
    """What rows of different lengths ask for, side by side; a shorter one asks for nothing at the last position."""
    longest = max(1, *(len(one) for one in places))
    shape = (len(places), longest)
    arrays: Arrays = {
        WHERE: np.full(shape, -1, dtype=np.int64),
        RIGHT: np.full(shape, IGNORED, dtype=np.int64),
        WEIGHTS: np.zeros(shape, dtype=np.float32),
    }
    for row, values in enumerate(zip(places, words, weights, strict=True)):
        for array, value in zip(arrays.values(), values, strict=True):
            array[row, : len(value)] = value
    return arrays


def perplexity(nats: float) -> float:
    """Of a mean loss in nats; infinite where it is beyond what a float holds."""
    return math.exp(nats) if nats < 700 else math.inf


def texts_of(tokenizer: Any, made: Any) -> Iterator[list[int]]:
    """The tokens of texts in what the tokenizer made of them, as `ids_of` has them."""
    own, around = own_signs(tokenizer), tokenizer.num_special_tokens_to_add()
    for ids, encoding in zip(made["input_ids"], made.encodings, strict=True):
        yield ids if sum(map(own.__contains__, ids)) <= around else ids_of(tokenizer, encoding)


def own_signs(tokenizer: Any) -> frozenset[int]:
    """The tokens that no text is to become."""
    return frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


def ids_of(tokenizer: Any, encoding: Any) -> list[int]:
    """The tokens of a text with those that the tokenizer puts around it. Where signs of its own stand in the text they
    are none: some tokenizers have them among their pieces, whatever they are told.
    """
    own = own_signs(tokenizer)
    both = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    kept = [tokenizer.unk_token_id if number in own and not around else number for number, around in both]
    return [number for number in kept if number is not None]


def added_text(tokenizer: Any, before: Sequence[int], tokens: Sequence[int]) -> str:
    """What these tokens read behind others: at the beginning of a text many tokenizers leave out a space."""
    there, both = (
        str(tokenizer.decode([*ids], clean_up_tokenization_spaces=False)) for ids in (before, [*before, *tokens])
    )
    return both.removeprefix(there)


def parts_of(tokenizer: Any, text: str, longest: int, shared: int) -> Sequence[Any]:
    """The tokenizer's encodings of the parts of a text, which share so many tokens; `launcher data` shows them."""
    (first,) = tokenizer(
        [text],
        split_special_tokens=True,
        truncation=True,
        max_length=longest,
        stride=shared if longest > tokenizer.num_special_tokens_to_add() + shared else 0,
        verbose=False,
    ).encodings
    return [first, *first.overflowing]
