"""What a pretrained model knows of words: a vector for each, out of its table or of its last states.

Rows of a batch have one length where words go through the model by themselves, so that nothing is padded; which words
share a batch depends on the words alone, and so do the vectors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from launcher.training.sources.vectors.word_model import WordModel

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from transformers import PreTrainedTokenizerFast

    Vectors = npt.NDArray[np.float32]
    Sequences = dict[tuple[int, ...], list[int]]

EXACT, COMPOSED, MISSING = 0, 1, 2
"""How a word came to its vector: it is one piece of the model's, several, or nothing that it knows."""
TOKENS = 4096
"""In a batch, about."""
LONGEST_TEXT = 128
"""Pieces of a text in which words are looked at; the rest is not read."""
LONE = "▁"
"""The piece that SentencePiece makes of the blank before a word, where it knows no longer one."""

Placed = tuple[str, Sequence[tuple[int, int, int]]]
"""A text, and of each word in it that is asked for: its number, where it starts and where it ends."""


class States(NamedTuple):
    """`vectors` [words, width], zeros for missing words; `kinds` int8 [words]; how many were seen in texts."""

    vectors: Vectors
    kinds: npt.NDArray[np.int8]
    in_context: int = 0


class _Pieces(NamedTuple):
    """Of a word: what the model is given, and which of it counts."""

    ids: tuple[int, ...]
    counted: tuple[int, ...]
    """Places in `ids`; none where the model knows nothing of the word."""
    whole: bool


def states_of(
    model: WordModel,
    words: Sequence[str],
    compose: Literal["mean", "first", "context"],
    inputs: bool,
    texts: Iterable[Placed] = (),
) -> States:
    """The vectors of these words; `texts` are those in which they are looked at where `compose` is `context`."""
    import torch

    pieces = _pieces(model, words)
    kinds = np.array([MISSING if not p.counted else EXACT if p.whole else COMPOSED for p in pieces], dtype=np.int8)
    with torch.inference_mode():
        seen = _in_context(model, len(words), texts) if compose == "context" else None
        wanted: Sequences = defaultdict(list)  # words that are the same to the model go through it once
        for number, word in enumerate(pieces):
            if word.counted and not (seen is not None and seen[1][number]):
                wanted[word.ids].append(number)
        found = np.zeros((len(words), 0), np.float32)
        for same, rows in _alone(model, wanted, {p.ids: p.counted for p in pieces}, compose == "first", inputs):
            found = found if found.shape[1] else np.zeros((len(words), rows.shape[1]), np.float32)
            for numbers, row in zip(same, rows, strict=True):
                found[numbers] = row
    if seen is None:
        return States(found, kinds)
    sums, counts = seen
    there = counts > 0
    found = found if found.shape[1] else np.zeros_like(sums, dtype=np.float32)
    found[there] = sums[there] / counts[there, None]
    kinds[there & (kinds == MISSING)] = COMPOSED
    return States(found, kinds, int(there.sum()))


def _pieces(model: WordModel, words: Sequence[str]) -> list[_Pieces]:
    """Each word as the model's tokenizer cuts it, as it stands at the beginning of a text or behind a blank: whichever
    gives fewer pieces. A word that static vectors have a row for is that row, also where it is cut by itself."""
    rows = model.tokenizer.get_vocab() if model.body is None else {}
    first, behind = (_cut(model, [f"{blank}{word}" for word in words]) for blank in ("", " "))
    return [
        _Pieces((rows[word],), (0,), True)
        if word in rows
        else min(one, other, key=lambda p: (not p.counted, len(p.counted)))
        for word, one, other in zip(words, first, behind, strict=True)
    ]


def _cut(model: WordModel, words: list[str]) -> Iterator[_Pieces]:
    tokenizer = model.tokenizer
    lone = tokenizer.convert_tokens_to_ids(LONE) if LONE in tokenizer.get_vocab() else None
    nothing = {lone, tokenizer.unk_token_id}
    room = model.longest - len(model.before) - len(model.after) if model.body is not None else None
    for ids in tokenizer(words, add_special_tokens=False)["input_ids"] if words else []:
        ids = ids[:room]
        known = tuple(place for place, number in enumerate(ids) if number not in nothing)
        whole = len(known) == 1 and all(number == lone for place, number in enumerate(ids) if place not in known)
        yield _Pieces(tuple(ids), known, whole)


def _alone(
    model: WordModel, wanted: Sequences, counted: dict[tuple[int, ...], tuple[int, ...]], first: bool, inputs: bool
) -> Iterator[tuple[list[list[int]], Vectors]]:
    """The words of a batch that have the same ids, and one row for each of these."""
    import torch

    by_length: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for ids in wanted:
        by_length[len(ids)].append(ids)
    for length, group in sorted(by_length.items()):
        around = 0 if inputs else len(model.before) + len(model.after)
        size = max(1, TOKENS // (length + around))
        for start in range(0, len(group), size):
            batch = group[start : start + size]
            weights = torch.zeros(len(batch), length)
            for row, ids in enumerate(batch):
                places = counted[ids][:1] if first else counted[ids]
                weights[row, list(places)] = 1 / len(places)
            ids_of = torch.tensor(batch)
            states = model.table(ids_of) if inputs else _through(model, ids_of)
            yield [wanted[ids] for ids in batch], (weights.unsqueeze(1) @ states.float()).squeeze(1).numpy()


def _through(model: WordModel, ids: torch.Tensor) -> torch.Tensor:
    """The last states [rows, pieces, width] of rows of one length, which get around them what the model expects."""
    import torch

    assert model.body is not None
    parts = [torch.tensor(tokens, dtype=ids.dtype).expand(len(ids), -1) for tokens in (model.before, model.after)]
    rows = torch.cat([parts[0], ids, parts[1]], dim=1)
    states: torch.Tensor = model.body(input_ids=rows, attention_mask=torch.ones_like(rows))[0]
    return states[:, len(model.before) : len(model.before) + ids.shape[1]]


def _in_context(model: WordModel, words: int, texts: Iterable[Placed]) -> tuple[Any, Any]:
    """Sums [words, width] over the places where each word stands in the texts, and the number of these [words]."""
    import torch

    assert model.body is not None
    longest = min(LONGEST_TEXT, model.longest - len(model.before) - len(model.after))
    cut = [_placed(model.tokenizer, text, places, longest) for text, places in texts]
    cut = sorted((row for row in cut if row[0]), key=lambda row: len(row[0]))
    sums, counts = np.zeros((words, 0)), np.zeros(words)
    start = 0
    while start < len(cut):
        end = start + 1
        while end < len(cut) and (end + 1 - start) * len(cut[end][0]) <= TOKENS:
            end += 1
        batch = cut[start:end]
        start = end
        whole = [[*model.before, *ids, *model.after] for ids, _ in batch]
        width = max(map(len, whole))
        rows, mask = (
            torch.zeros(len(batch), width, dtype=torch.int64),
            torch.zeros(len(batch), width, dtype=torch.int64),
        )
        for row, ids in enumerate(whole):
            rows[row, : len(ids)], mask[row, : len(ids)] = torch.tensor(ids), 1
        states = model.body(input_ids=rows, attention_mask=mask)[0].float().numpy()
        sums = sums if sums.shape[1] else np.zeros((words, states.shape[2]))
        for row, (_, places) in enumerate(batch):
            for word, first, last in places:
                sums[word] += states[row, len(model.before) + first : len(model.before) + last].mean(axis=0)
                counts[word] += 1
    return sums, counts


def _placed(
    tokenizer: PreTrainedTokenizerFast, text: str, words: Sequence[tuple[int, int, int]], longest: int
) -> tuple[list[int], list[tuple[int, int, int]]]:
    """The pieces of a text, and of each word its number, its first piece and the one after its last."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = np.array(encoded["offset_mapping"][:longest], dtype=np.int64).reshape(-1, 2)
    places = []
    for word, start, end in words:
        inside = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))
        if len(inside):
            places.append((word, int(inside[0]), int(inside[-1]) + 1))
    return encoded["input_ids"][:longest], places
