"""One BIO tag for each token: cross entropy over first pieces; entity-level F1 by seqeval, token-level beside.

A word that the subword tokenizer cuts into pieces carries its tag on the first piece. Words beyond the cut
at `max_length`, and words that the tokenizer gives no piece, count as predicted `O` for the metrics: an entity that is
not wholly seen is an error, and is counted (`lost`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.training.data import word_splitting
from launcher.training.tasks import Text, class_rows, flat, lost, token_ids
from launcher.training.tasks.confusion import Confusion, of_entities, of_targets

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from launcher.recipe.task import Tokens
    from launcher.training.data import Row

IGNORED = -100


class Work:
    """See `launcher.training.tasks.TaskWork`."""

    metric_names = ("entity_f1", "token_accuracy", "token_f1", "loss")

    def __init__(self, tokens: Tokens):
        self.tokens = tokens

    def columns(
        self,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        labels: Sequence[str],
        max_length: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """`input_ids` and `labels` flat with `offsets`; `gold`, `gold_kept` by word with `gold_offsets`."""
        numbers = {label: number for number, label in enumerate(labels)}
        sentences = [list(row.text) for row in rows]
        encoded = (
            tokenizer(sentences, is_split_into_words=True, truncation=True, max_length=max_length).encodings
            if rows
            else []
        )
        gold = [[numbers[tag] for tag in row.label] for row in rows]
        tags, kept, counts = [], [], dict.fromkeys(lost.COUNTED, 0)
        for encoding, tags_of_words in zip(encoded, gold, strict=True):
            of_pieces, seen = _first_pieces(encoding.word_ids, tags_of_words)
            tags.append(of_pieces or [IGNORED])
            kept.append([word in seen for word in range(len(tags_of_words))])
            lost.count(encoding, seen, [labels[tag] for tag in tags_of_words], counts)
        input_ids, offsets = flat(token_ids(tokenizer, encoded))
        gold_flat, gold_offsets = flat(gold, np.int64)
        return {
            "input_ids": input_ids,
            "offsets": offsets,
            "labels": flat(tags, np.int64)[0],
            "targets": np.array([sum(t != IGNORED for t in row) for row in tags], dtype=np.int64),
            "gold": gold_flat,
            "gold_offsets": gold_offsets,
            "gold_kept": flat(kept, np.int8)[0],
        }, counts

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], max_length: int) -> Any:
        """One (words, their offsets, fast encoding) a text, cut as the task's rows are."""
        split = [word_splitting.pieces(str(text), self.tokens) for text in texts]
        if not split:
            return []
        encodings = tokenizer(
            [[word for word, _ in words] for words in split],
            is_split_into_words=True,
            truncation=True,
            max_length=max_length,
        ).encodings
        return [_Encoded(words, encoding) for words, encoding in zip(split, encodings, strict=True)]

    def batch_labels(self, columns: Mapping[str, np.ndarray], rows: np.ndarray, width: int) -> np.ndarray:
        """int64 [rows, width]."""
        starts, stops = columns["offsets"][rows], columns["offsets"][rows + 1]
        labels = np.full((len(rows), width), IGNORED, dtype=np.int64)
        for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            labels[place, : stop - start] = columns["labels"][start:stop]
        return labels

    def loss_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross entropy of [rows, width, classes] against [rows, width], summed over labelled tokens."""
        from torch.nn import functional

        logits = logits.float().flatten(0, 1)
        return functional.cross_entropy(logits, labels.flatten(), reduction="sum", ignore_index=IGNORED)

    def guess(self, logits: torch.Tensor) -> torch.Tensor:
        """The likeliest tag of each token, [rows, width]."""
        return logits.argmax(dim=-1)

    def metrics(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> dict[str, Any]:
        """Entity precision, recall, F1 (seqeval, as conlleval counts); token accuracy and F1 without O."""
        from seqeval.metrics import accuracy_score, classification_report
        from sklearn.metrics import f1_score

        gold_tags, told_tags = _tags(columns, predicted, labels)
        report = classification_report(gold_tags, told_tags, output_dict=True, zero_division=0)
        outside = list(labels).index("O")
        inside = [number for number in range(len(labels)) if number != outside]
        guesses = _by_word(columns, predicted, outside)
        token_f1 = f1_score(columns["gold"], guesses, labels=inside, average="micro", zero_division=0.0)
        overall = report.get("micro avg", {"precision": 0.0, "recall": 0.0, "f1-score": 0.0})
        return {
            "entity_f1": float(overall["f1-score"]),
            "entity_precision": float(overall["precision"]),
            "entity_recall": float(overall["recall"]),
            "token_accuracy": float(accuracy_score(gold_tags, told_tags)),
            "token_f1": float(token_f1),
            "classes": class_rows({name: row for name, row in report.items() if not name.endswith(" avg")}),
        }

    def confusions(
        self, columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
    ) -> Iterator[Confusion]:
        """Of entities, and of the tags of tokens."""
        yield of_entities(*_tags(columns, predicted, labels))
        told = _by_word(columns, predicted, list(labels).index("O"))
        yield of_targets("tokens", columns["gold"], told, labels)

    def decode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        text: Text,
        logits: np.ndarray,
        labels: Sequence[str],
        encoded: Any,
    ) -> dict[str, Any]:
        """`{"entities": [{"entity", "text", "start", "end", "probability"}]}`, offsets in characters."""
        assert isinstance(text, str)  # `predict` refuses pairs for a task of sentences
        exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities = exponents / exponents.sum(axis=-1, keepdims=True)
        entities: list[dict[str, Any]] = []
        last_word, open_type = -1, ""
        for place, word in enumerate(encoded.encoding.word_ids):
            if word is None or word == last_word:
                continue
            last_word = word
            best = int(probabilities[place].argmax())
            tag, probability = labels[best], float(probabilities[place, best])
            start = encoded.words[word][1]
            end = start + len(encoded.words[word][0])
            kind = tag[2:]
            if tag == "O":
                open_type = ""
            elif tag.startswith("I-") and kind == open_type:
                entities[-1].update(end=end, probability=min(entities[-1]["probability"], probability))
            else:
                entities.append({"entity": kind, "text": "", "start": start, "end": end, "probability": probability})
                open_type = kind
        for entity in entities:
            entity["text"] = text[entity["start"] : entity["end"]]
        return {"entities": entities}


def _by_word(columns: Mapping[str, np.ndarray], predicted: np.ndarray, outside: int) -> np.ndarray:
    """The class told for every word; `outside` for those that the model did not see."""
    told = np.full(len(columns["gold"]), outside, dtype=np.int64)
    told[columns["gold_kept"].astype(bool)] = predicted
    return told


def _tags(
    columns: Mapping[str, np.ndarray], predicted: np.ndarray, labels: Sequence[str]
) -> tuple[list[list[str]], list[list[str]]]:
    """The tags of every sentence: as they are, and as they were told."""
    names, cut = np.array(labels, dtype=object), list(itertools.pairwise(columns["gold_offsets"]))
    told = _by_word(columns, predicted, list(labels).index("O"))
    gold_tags, told_tags = (
        [names[numbers[start:stop]].tolist() for start, stop in cut] for numbers in (columns["gold"], told)
    )
    return gold_tags, told_tags


class _Encoded:
    """A raw text cut into words with their offsets, and the tokenizer's encoding of them."""

    def __init__(self, words: list[tuple[str, int]], encoding: Any):
        self.words = words
        self.encoding = encoding
        self.ids, self.type_ids, self.overflowing = encoding.ids, encoding.type_ids, encoding.overflowing


def _first_pieces(word_ids: Sequence[int | None], tags: Sequence[int]) -> tuple[list[int], set[int]]:
    """The tag of each word on its first piece, the rest ignored; and which words have a piece."""
    seen: set[int] = set()
    pieces = []
    for word in word_ids:
        new = word is not None and word not in seen
        pieces.append(tags[word] if new and word is not None else IGNORED)
        if word is not None:
            seen.add(word)
    return pieces, seen
