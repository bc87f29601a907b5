"""One BIO tag for each token: cross entropy over first pieces; entity-level F1 by seqeval, token-level beside.

A word that the subword tokenizer cuts into pieces carries its tag on the first piece. Words beyond the cut
at `max_length`, and words that the tokenizer gives no piece, count as predicted `O` for the metrics: an entity that is
not wholly seen is an error, and is counted (`lost`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.printing import one_line
from launcher.recipe.declared import Tokens
from launcher.recipe.task import TokenClassification
from launcher.training.batches.split import TOKENS, Column, Ragged, Split, as_ragged
from launcher.training.data import Row, word_splitting
from launcher.training.tasks import lost
from launcher.training.tasks.base import IGNORED, Encoded, Kept, TaskWork, Text
from launcher.training.tasks.texts import class_rows, on_host, only, token_ids
from launcher.training.tasks.views import AgainstTheRest, View, of_entities, of_targets

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

OUTSIDE = "O"


class Work(TaskWork):
    """See `launcher.training.tasks.base.TaskWork`. Columns of a row, besides its tokens and their `labels`: `gold`, the
    tag of each of its words, and `seen`, whether the word has a piece.
    """

    metric_names = tuple(TokenClassification.metrics)
    inputs = {TOKENS: None}  # noqa: RUF012 (the base class types it as a Mapping)
    wanted = {"labels": IGNORED}  # noqa: RUF012 (likewise)

    @property
    def tokens(self) -> Tokens:
        """How a raw text is cut."""
        assert isinstance(self.task, TokenClassification)
        return self.task.tokens or "words"

    @cached_property
    def outside(self) -> int:
        """The number of the tag of what belongs to no entity."""
        return self.labels.index(OUTSIDE)

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """A row for each sentence; a target for each word that has a piece."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        encoded = self._tokenised([list(row.text) for row in examples])
        gold = [[numbers[tag] for tag in row.label] for row in examples]
        tags, kept, counts = [], [], dict.fromkeys(lost.COUNTED, 0)
        for encoding, row, tags_of_words in zip(encoded, examples, gold, strict=True):
            of_pieces, seen = _first_pieces(encoding.word_ids, tags_of_words)
            tags.append(of_pieces or [IGNORED])
            kept.append([word in seen for word in range(len(tags_of_words))])
            lost.count(encoding, seen, row.label, counts)
        tokens = Ragged.of(token_ids(self.tokenizer, encoded), np.int32)
        columns: dict[str, Column] = {
            TOKENS: tokens,
            "labels": Ragged.of(tags, np.int64),
            "gold": Ragged.of(gold, np.int64),
            "seen": Ragged.of(kept, np.int8),
        }
        targets = np.array([sum(tag != IGNORED for tag in row) for row in tags], dtype=np.int64)
        split = Split(columns, {"loss": targets}, tokens.lengths, np.arange(len(examples)))
        return Encoded(split, np.array([bool(each.overflowing) for each in encoded], dtype=bool), counts)

    def example(self, text: Text) -> Row:
        """Cut into words as the task's rows are."""
        words = tuple(word for word, _ in self._words(text))
        return Row(words, (OUTSIDE,) * len(words), "")

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Cross entropy of [rows, width, classes] against [rows, width], over labelled tokens."""
        from torch.nn import functional

        logits = outputs["logits"].float().flatten(0, 1)
        labels = wanted["labels"].flatten()
        return {"loss": functional.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORED)}

    def divergence(self, one: Tensors, other: Tensors, wanted: Tensors) -> torch.Tensor:
        """Between the tags of labelled tokens."""
        from launcher.training.tasks.divergence import of_classes

        apart = of_classes(one["logits"].float(), other["logits"].float())
        return (apart * wanted["labels"].ne(IGNORED)).sum()

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Ragged]:
        """`predicted`, the likeliest tag of each target, int32."""
        return {"predicted": by_target(outputs["logits"].argmax(dim=-1), wanted["labels"], np.int32)}

    def detail(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Ragged]:
        """`probabilities` of each target's tags, float32 [targets, classes]."""
        scores = outputs["logits"].float().softmax(dim=-1)
        return {"probabilities": by_target(scores, wanted["labels"], np.float32)}

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Entity precision, recall, F1 (seqeval, as conlleval counts); token accuracy and F1 without O."""
        from seqeval.metrics import accuracy_score, classification_report
        from sklearn.metrics import f1_score

        gold_tags, predicted_tags = self._tags(split, kept)
        report = classification_report(gold_tags, predicted_tags, output_dict=True, zero_division=0)
        inside = [number for number in range(len(self.labels)) if number != self.outside]
        gold, guesses = split.ragged("gold").values, self._by_word(split, kept)
        token_f1 = f1_score(gold, guesses, labels=inside, average="micro", zero_division=0.0)
        overall = report.get("micro avg", {"precision": 0.0, "recall": 0.0, "f1-score": 0.0})
        return {
            "entity_f1": float(overall["f1-score"]),
            "entity_precision": float(overall["precision"]),
            "entity_recall": float(overall["recall"]),
            "token_accuracy": float(accuracy_score(gold_tags, predicted_tags)),
            "token_f1": float(token_f1),
            "classes": class_rows({name: row for name, row in report.items() if not name.endswith(" avg")}),
        }

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """What was taken for what, of entities and of the tags of tokens; each tag against the rest."""
        yield of_entities(*self._tags(split, kept))
        yield of_targets("tokens", split.ragged("gold").values, self._by_word(split, kept), self.labels)
        if kept.details:
            labels, scores = split.ragged("labels"), as_ragged(kept.details["probabilities"]).values
            gold = np.concatenate([labels.row(row) for row in kept.detailed])
            gold = gold[gold != IGNORED]
            classes = {label: (gold == number, scores[:, number]) for number, label in enumerate(self.labels)}
            yield AgainstTheRest("tokens", classes)

    def only_answer(self, split: Split, kept: Kept) -> str:
        """See `TaskWork`."""
        gold = split.ragged("labels").values
        number = only(as_ragged(kept.values["predicted"]).values, gold[gold != IGNORED])
        return "" if number is None else repr(self.labels[number])

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"entities": [{"entity", "text", "start", "end", "probability"}]}`, offsets in characters."""
        seen = split.ragged("seen").row(rows[0])
        words = [each for each, is_seen in zip(self._words(text), seen, strict=True) if is_seen]
        entities: list[dict[str, Any]] = []
        open_type = ""
        predicted, scores = (
            as_ragged(column).row(rows[0]) for column in (kept.values["predicted"], kept.details["probabilities"])
        )
        for (word, start), best, shares in zip(words, predicted, scores, strict=True):
            tag, probability, end = self.labels[best], float(shares[best]), start + len(word)
            kind = tag[2:]
            if tag == OUTSIDE:
                open_type = ""
            elif tag.startswith("I-") and kind == open_type:
                entities[-1].update(end=end, probability=min(entities[-1]["probability"], probability))
            else:
                entities.append({"entity": kind, "text": "", "start": start, "end": end, "probability": probability})
                open_type = kind
        for entity in entities:
            entity["text"] = str(text)[entity["start"] : entity["end"]]
        return {"entities": entities}

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The entities below the text."""
        keys = {"entity", "start", "end", "text", "probability"}
        if "entities" not in answer or not all(keys <= entity.keys() for entity in answer["entities"]):
            return super().printed(text, answer, top)
        line = "  ".join(
            f"{e['entity']}[{e['start']}:{e['end']}] {e['text']} ({e['probability']:.2f})" for e in answer["entities"]
        )
        return f"{text}\n  {one_line(line) or 'no entities'}"

    def for_readers(self) -> dict[str, Any]:
        """The patterns that a text is cut by, once it was cut at white space."""
        return {"words": "jieba" if self.tokens == "jieba" else word_splitting.patterns(self.tokens)}

    def shown(self, split: Split, row: int) -> str:
        """Its tokens, each with its tag where the loss is taken."""
        tags = [f"/{self.labels[tag]}" if tag >= 0 else "" for tag in split.ragged("labels").row(row)]
        return " ".join(f"{token}{tag}" for token, tag in zip(self.tokens_of(split, row), tags, strict=True))

    def labelled_tokens(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """First pieces, with the tags of their words."""
        labels = split.ragged("labels").values
        indices = np.flatnonzero(labels != IGNORED)
        return indices, labels[indices]

    def shapes(self, rows: int, length: int) -> Mapping[str, tuple[int, ...]]:
        """A tag for each token."""
        return {"labels": (rows, length)}

    def _words(self, text: Text) -> list[tuple[str, int]]:
        assert isinstance(text, str)  # `predict` refuses pairs for a task of sentences
        return list(word_splitting.pieces(text, self.tokens))

    def _tokenised(self, sentences: list[list[str]]) -> Sequence[Any]:
        if not sentences:
            return []
        encodings: Sequence[Any] = self.tokenizer(
            sentences, is_split_into_words=True, truncation=True, max_length=self.reader.max_length
        ).encodings
        return encodings

    def _by_word(self, split: Split, kept: Kept) -> np.ndarray:
        """The class predicted for every word; that of `O` for those that the model did not see."""
        seen = split.ragged("seen").values.astype(bool)
        predicted = np.full(len(seen), self.outside, dtype=np.int64)
        predicted[seen] = as_ragged(kept.values["predicted"]).values
        return predicted

    def _tags(self, split: Split, kept: Kept) -> tuple[list[list[str]], list[list[str]]]:
        """The tags of every sentence: as they are, and as they were predicted."""
        gold, names = split.ragged("gold"), np.array(self.labels, dtype=object)
        cut = list(itertools.pairwise(gold.offsets))
        gold_tags, predicted_tags = (
            [names[numbers[start:stop]].tolist() for start, stop in cut]
            for numbers in (gold.values, self._by_word(split, kept))
        )
        return gold_tags, predicted_tags


def by_target(values: torch.Tensor, labels: torch.Tensor, dtype: type[np.generic]) -> Ragged:
    """Values [rows, width, …] of the tokens that are targets."""
    counted = on_host(labels != IGNORED, np.bool_)
    offsets = np.zeros(len(counted) + 1, dtype=np.int64)
    np.cumsum(counted.sum(axis=1), out=offsets[1:])
    return Ragged(on_host(values, dtype)[counted], offsets)


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
