"""The part of a text that answers a question: cross entropies over where it starts and ends; exact match and F1.

A row of the split is a window (see `windows`), and a target of the loss: the mean of two cross entropies over the
window's tokens, as transformers' own loss is, with the padding left out. A window without the answer has its first
position for both, which stands for "no answer" (`[CLS]` in BERT). An answer is made of tokens of the context, the last
one not before the first; its score is the sum of the logits at both. An example's answer is the best one of its
windows, and "no answer" is as likely as in the window where it is least so (Devlin et al. 2019, section 4.3).
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from launcher.errors import DataError, Problem
from launcher.printing import one_line
from launcher.recipe.task import QuestionAnswering
from launcher.training.batches.split import TOKENS, Column, Ragged, Split, as_array
from launcher.training.data import Row, scripts
from launcher.training.tasks import windows
from launcher.training.tasks.answer_scores import Definition
from launcher.training.tasks.base import Encoded, Kept, TaskWork, Text
from launcher.training.tasks.decided import Decided
from launcher.training.tasks.n_best import best_spans, weighed
from launcher.training.tasks.texts import TYPES, on_host, tells_pairs_apart, token_ids
from launcher.training.tasks.views import AgainstTheRest, Bar, Bars, View

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.outputs import Tensors

PADDING = -1
"""The end of what is no token; a token that stands for no character of the context has 0."""
LOWEST = -1e30
"""The logit of padding."""
BEST = 20
"""Answers that `predict` weighs."""
LOOKED_AT, CHINESE = 200, 0.3
"""Contexts that show by whose definition answers are scored, and the part of Chinese that decides."""
LENGTHS = (1, 2, 3, 5, 9, 17, 33)
"""Tokens of a right answer from which on each bar of the figure counts."""
WITHOUT = "no answer"
SAID = ("start", "end", "score", "probability")
NO_ANSWER: Mapping[str, Any] = {"text": "", **dict.fromkeys(SAID)}
"""Where the context has no token to answer with."""


class Work(TaskWork):
    """See `launcher.training.tasks.base.TaskWork`. Columns of a row besides its tokens and the positions of the answer:
    `begins` and `ends`, the characters of the context that each token stands for; in an example's first row `context`,
    its code points, and `right`, its answers as JSON.
    """

    metric_names = tuple(QuestionAnswering.metrics)
    inputs = {TOKENS: None, TYPES: 0}  # noqa: RUF012 (the base class types it as a Mapping)
    wanted = {"start_positions": 0, "end_positions": 0, "ends": PADDING}  # noqa: RUF012 (likewise)
    outputs = ("start_logits", "end_logits")

    @property
    def settings(self) -> QuestionAnswering:
        """The task."""
        assert isinstance(self.task, QuestionAnswering)
        return self.task

    @property
    def threshold(self) -> float | None:
        """By how much no answer must be likelier to be given; None where it is not, or is still to be chosen."""
        chosen: float | None = self.chosen.get("no_answer_threshold")
        return self.settings.no_answer_threshold if chosen is None else chosen

    @cached_property
    def room(self) -> windows.Room:
        """How windows are cut. Raises DataError where they cannot be."""
        return windows.Room.of(self.tokenizer, self.reader.max_length, self.settings.stride)

    def problems(self) -> Iterator[Problem]:
        """A stride, or a longest input, with which windows do not get on."""
        try:
            self.room  # noqa: B018 (it is kept)
        except DataError as error:
            yield from error.problems

    def settled_by(self, metrics: Mapping[str, Any]) -> Self:
        """With the threshold and the definition of the scores that were chosen on the validation split."""
        work = copy.copy(self)
        names = ("no_answer_threshold", "scored_as")
        work.chosen = {name: metrics.get(name) for name in names} if metrics else {}
        return work

    def encode(self, examples: Sequence[Row]) -> Encoded:
        """A row for each window; examples whose question is longer than half a window are `truncated`."""
        given = [str(row.text) for row in examples]
        questions = windows.shortened(self.tokenizer, given, self.room.question)
        contexts, spans = [row.pair or "" for row in examples], [row.spans for row in examples]
        encodings, example = self._windows(questions, contexts)
        placed = windows.Placed.of(encodings, example, contexts, spans)
        tokens = Ragged.of(token_ids(self.tokenizer, encodings), np.int32)
        columns: dict[str, Column] = {TOKENS: tokens}
        if tells_pairs_apart(self.tokenizer):
            columns[TYPES] = Ragged.of([encoding.type_ids or [0] for encoding in encodings], np.uint8)
        columns["start_positions"], columns["end_positions"] = placed.places.T
        for name in ("begins", "ends"):
            columns[name] = _ragged([getattr(window, name) for window in placed.characters], np.int32)
        columns["context"] = _once([windows.code_points(text) for text in contexts], example, np.int32)
        right = [np.frombuffer(json.dumps(list(row.label)).encode(), np.uint8) for row in examples]
        columns["right"] = _once(right, example, np.uint8)
        split = Split(columns, {"loss": np.ones(len(example), np.int64)}, tokens.lengths, example)
        answered = np.array([bool(places) for places in spans], dtype=bool)
        lost = {
            "answers_in_no_window": int((answered & ~placed.whole).sum()),
            "answers_inside_tokens": int(placed.inside.sum()),
        }
        cut = np.array([one != other for one, other in zip(given, questions, strict=True)], dtype=bool)
        return Encoded(split, cut, lost)

    def windows_of(self, row: Row) -> Sequence[Any]:
        """See `TaskWork`."""
        questions = windows.shortened(self.tokenizer, [str(row.text)], self.room.question)
        return self._windows(questions, [row.pair or ""])[0]

    def example(self, text: Text) -> Row:
        """A question and its context."""
        assert not isinstance(text, str)  # `predict` refuses single texts for a task of pairs
        question, context = text
        return Row(question, (), "", context)

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """The mean of the cross entropies of [rows, width] against [rows] for start and end."""
        from torch.nn import functional

        targets = (wanted["start_positions"], wanted["end_positions"])
        both = zip(_of_tokens(outputs, wanted), targets, strict=True)
        return {"loss": sum(functional.cross_entropy(*each, reduction="sum") for each in both) / 2}  # type: ignore[dict-item]  # the sum begins with 0

    def divergence(self, one: Tensors, other: Tensors, wanted: Tensors) -> torch.Tensor:
        """Between the tokens that an answer starts with, and those that it ends with: the mean of both."""
        from launcher.training.tasks.divergence import of_classes

        first, second = (
            of_classes(*each) for each in zip(_of_tokens(one, wanted), _of_tokens(other, wanted), strict=True)
        )
        return (first + second).sum() / 2

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """Of each window the best answer's first and last token, `span` int32 [rows, 2], its `score`, and `none`, that
        of no answer, float32 [rows].
        """
        spans, scores = self._best_spans(outputs, wanted, 1)
        none = outputs["start_logits"][:, 0] + outputs["end_logits"][:, 0]
        return {"span": spans[:, 0], "score": scores[:, 0], "none": on_host(none, np.float32)}

    def detail(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, np.ndarray]:
        """The best answers: `spans` int32 [rows, BEST, 2] and `scores` float32 [rows, BEST]."""
        spans, scores = self._best_spans(outputs, wanted, BEST)
        return {"spans": spans, "scores": scores}

    def numbers_in_detail(self, split: Split) -> int:
        """Three for each answer."""
        return 3 * BEST * split.rows

    def score(self, split: Split, kept: Kept) -> dict[str, Any]:
        """Exact match and F1. Where questions without an answer are among the rows: the threshold that they are found
        by, how well they are, and the threshold that would have been the best one on these rows.
        """
        decided = self._decided(split, kept)
        exact, f1, without = decided.exact, decided.f1, ~decided.answerable
        metrics: dict[str, Any] = {"exact_match": float(exact.mean()), "f1": float(f1.mean())}
        metrics["scored_as"] = self._definition(split)
        if decided.threshold is not None:
            metrics["no_answer_threshold"] = decided.threshold
        if decided.best is not None:
            metrics["no_answer_accuracy"] = float(f1[without].mean())
            metrics["best_threshold"], metrics["best_f1"] = decided.best
            metrics["has_answer_f1"] = float(f1[~without].mean()) if not without.all() else None
        return metrics

    def views(self, split: Split, kept: Kept) -> Iterator[View]:
        """F1 by the length of the answer; and where some questions have none, how well these are told apart."""
        decided = self._decided(split, kept)
        ends, firsts = split.array("end_positions"), np.flatnonzero(np.diff(split.example, prepend=-1))
        tokens = np.maximum.reduceat(np.where(ends > 0, ends - split.array("start_positions") + 1, 0), firsts)
        bars = []
        for least, above in itertools.pairwise((*LENGTHS, 2**31)):
            counted = (tokens >= least) & (tokens < above)
            name = (
                f"{least}" if above == least + 1 else f"{least} to {above - 1}" if above < 2**31 else f"{least} or more"
            )
            if counted.any():
                bars.append(Bar(name, float(decided.f1[counted].mean()), int(counted.sum())))
        yield Bars("f1-by-length", "F1 by the tokens of the right answer", bars)
        if 0 < decided.answerable.sum() < len(decided.answerable):
            yield AgainstTheRest("questions", {"has an answer": (decided.answerable, -decided.margins)})

    def only_answer(self, split: Split, kept: Kept) -> str:
        """See `TaskWork`."""
        answers, right = set(self._decided(split, kept).answers), split.ragged("right")
        several = len({right.row(row).tobytes() for row in range(split.rows) if right.lengths[row]}) > 1
        return (repr(answers.pop()) if answers != {""} else WITHOUT) if several and len(answers) == 1 else ""

    def tell(self, text: Text, split: Split, rows: np.ndarray, kept: Kept) -> dict[str, Any]:
        """`{"answer", "start", "end", "score", "probability", "answers"}`, offsets in characters of the context.

        `answers` are the best ones, in the same form. No answer has an empty text and no offsets; it is among them
        where the model was trained to give it.
        """
        spans, scores = (as_array(kept.details[name])[rows] for name in ("spans", "scores"))
        begins, ends = ([split.ragged(name).row(row) for row in rows] for name in ("begins", "ends"))
        places = [
            (int(begins[row][first]), int(ends[row][last]), float(scores[row, rank]))
            for row in range(len(rows))
            for rank, (first, last) in enumerate(spans[row])
            if first >= 0
        ]
        none = float(as_array(kept.values["none"])[rows].min())
        answers = weighed(text[1], places, None if self.threshold is None else none, BEST)
        real = next((answer for answer in answers if answer["text"]), None)
        if real is None or (self.threshold is not None and none - real["score"] > self.threshold):
            given = next((answer for answer in answers if not answer["text"]), NO_ANSWER)
        else:
            given = real
        return {"answer": given["text"], **{name: given[name] for name in SAID}, "answers": answers}

    def printed(self, text: str, answer: Mapping[str, Any], top: int | None) -> str:
        """The answer, or the best ones, below the question."""
        if not {"answer", "answers", *SAID} <= answer.keys():
            return super().printed(text, answer, top)
        shown = [{**answer, "text": answer["answer"]}] if top is None else answer["answers"]
        return "\n".join([text.partition("\t")[0], *(f"  {_line(each)}" for each in shown)])

    def for_readers(self) -> dict[str, Any]:
        """See `TaskWork`."""
        told = {"stride": self.room.stride, "question": self.room.question, "best": BEST}
        return {**told, "no_answer_threshold": self.threshold, "longest_answer": self.settings.longest_answer}

    def shown(self, split: Split, row: int) -> str:
        """The question and this part of the context, before it the tokens of the answer."""
        start, end = int(split.array("start_positions")[row]), int(split.array("end_positions")[row])
        tokens = self.tokens_of(split, row)
        return " ".join([f"{' '.join(tokens[start : end + 1]) if end else WITHOUT}:", *tokens])

    def shapes(self, rows: int, length: int) -> Mapping[str, tuple[int, ...]]:
        """The characters of each token."""
        return {"ends": (rows, length)}

    def _windows(self, questions: Sequence[str], contexts: Sequence[str]) -> tuple[Sequence[Any], np.ndarray]:
        if not questions:
            return [], np.zeros(0, dtype=np.int64)
        return windows.cut(self.tokenizer, questions, contexts, self.room)

    def _best_spans(self, outputs: Tensors, wanted: Tensors, count: int) -> tuple[np.ndarray, np.ndarray]:
        logits = (outputs["start_logits"], outputs["end_logits"])
        return best_spans(logits, wanted["ends"] > 0, self.settings.longest_answer, count)

    def _decided(self, split: Split, kept: Kept) -> Decided:
        return Decided.of(split, kept, self._definition(split), self.threshold, choose=not self.chosen)

    def _definition(self, split: Split) -> Definition:
        """By whose definition answers are scored: as the task says, as was chosen, or by the split's contexts."""
        said: Definition | None = self.settings.scored_as or self.chosen.get("scored_as")
        if said is not None:
            return said
        firsts = np.flatnonzero(np.diff(split.example, prepend=-1))[:LOOKED_AT]
        look = scripts.look(windows.text_of(split.ragged("context").row(row)) for row in firsts)
        return "cmrc" if look.chinese and look.unspaced > CHINESE else "squad"


def _of_tokens(outputs: Tensors, wanted: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits [rows, width] of start and end, the padding's so low that it counts for nothing."""
    padding = wanted["ends"] < 0
    start, end = (outputs[name].float().masked_fill(padding, LOWEST) for name in Work.outputs)
    return start, end


def _ragged(rows: Sequence[np.ndarray], dtype: type[np.generic]) -> Ragged:
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return Ragged(np.concatenate([np.zeros(0, dtype), *rows]).astype(dtype), offsets)


def _once(parts: Sequence[np.ndarray], example: np.ndarray, dtype: type[np.generic]) -> Ragged:
    """What an example has, in its first row; nothing in the others."""
    first, nothing = np.diff(example, prepend=-1) > 0, np.zeros(0, dtype)
    return _ragged([parts[each] if begins else nothing for each, begins in zip(example, first, strict=True)], dtype)


def _line(answer: Mapping[str, Any]) -> str:
    place = f" [{answer['start']}:{answer['end']}]" if answer["text"] else ""
    sure = "" if answer["probability"] is None else f" ({answer['probability']:.2f})"
    return f"{one_line(answer['text']) or WITHOUT}{place}{sure}"
