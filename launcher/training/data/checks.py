"""Which labels there are, whether every split keeps to them, and the report on the rows."""

from __future__ import annotations

import difflib
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from launcher.errors import DataError, Problem
from launcher.recipe.fields import FREE, NAMED, WRITTEN, Kind
from launcher.recipe.task import PlainTask, answer_of, labels_of, tokens_of_rows
from launcher.training.data import numbers, spelling
from launcher.training.data.examples import Reading, Row
from launcher.training.data.findings import SHOWN, Findings
from launcher.training.data.splitting import labels_by_text
from launcher.training.data.tag_schemes import bio_order

MANY_LABELS = 50
MOST_LOOKED_AT, FEWEST_TOKENS = 2000, 50
"""Rows examined for how they are cut, and the Chinese tokens needed to decide."""
HAN = re.compile(r"[\u4e00-\u9fff]")
REPLACEMENT = "\ufffd"
"""What decoders put where bytes do not fit."""


def label_set(task: PlainTask, train: list[Row]) -> tuple[str, ...]:
    """The labels in the order of the model's outputs: the task's own, or those of the training rows, sorted.

    For token classification: O, then by type B before I, both of each type. Raises DataError where there are
    not two different labels to distinguish.
    """
    seen = {label for row in train for label in row.labels}
    if len(seen) < 2:
        shown = ", ".join(map(repr, sorted(seen)))
        raise DataError(Problem(f"train holds one label only: {shown}", do="two or more are needed to learn from"))
    wanted = labels_of(task)
    if wanted is not None:
        return wanted
    return bio_order(seen) if answer_of(task) == "tags" else tuple(sorted(seen))


def refuse_one_number(train: list[Row]) -> None:
    """Raise DataError where all rows of train have the same number: there is nothing to learn."""
    if len({float(str(row.label)) for row in train}) == 1:
        what = f"train holds one number only: {train[0].label}"
        raise DataError(Problem(what, do="two or more are needed to learn from"))


def refuse_one_passage(train: list[Row]) -> None:
    """Raise DataError where all queries of train have the same passage, and no other is there to tell it from."""
    if len(train) == 1 and len(train[0].labels) == 1:
        what = "train has one row: there is no other passage to tell its own from"
        raise DataError(Problem(what, do="give more pairs, or negatives (data.negatives)"))
    if len({text.strip() for row in train for text in row.labels}) == 1:
        what = f"all {len(train):,} rows of train have the same passage: there is none to tell it from"
        raise DataError(Problem(what, do="give more pairs, or negatives (data.negatives)"))


def refuse_no_answer(train: list[Row]) -> None:
    """Raise DataError where no question of train has an answer."""
    if not any(row.spans for row in train):
        what = f"none of the {len(train):,} questions of train has an answer"
        raise DataError(Problem(what, do="see that the column of the answers is the right one"))


def check_labels(rows: Iterable[Row], labels: tuple[str, ...], split: str, findings: Findings) -> None:
    """Note each label of `rows` that is not among `labels`: how often, where first, what is spelt alike."""
    known = set(labels)
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for row in rows:
        for label in set(row.labels) - known:
            counts[label] += 1
            first.setdefault(label, row.where)
    shown = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
    for rank, (label, count) in enumerate(counts.most_common()):
        near = difflib.get_close_matches(label, labels, n=1, cutoff=0.6) if rank < SHOWN else []
        what = f"the label {label[:60]!r} of {split} is not one of the labels ({count:,} {_rows(count)})"
        do = f"did you mean {near[0]!r}?" if near else f"known: {shown}"
        findings.add("unknown label", what, f"first in {first[label]}", do)


def check_weights(task: PlainTask, labels: tuple[str, ...], findings: Findings) -> None:
    """Note each name in `task.class_weights` that is not one of the labels."""
    weights = getattr(task, "class_weights", None)
    for name in weights if isinstance(weights, dict) else ():
        if name not in labels:
            near = difflib.get_close_matches(name, labels, n=1, cutoff=0.6)
            do = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(labels[:12])
            findings.add("class weight", f"task.class_weights names {name!r}, which is not one of the labels", "", do)


def check_none(task: PlainTask, labels: tuple[str, ...], findings: Findings) -> None:
    """Note a `task.none` that is not one of the labels."""
    none = getattr(task, "none", None)
    if none and none not in labels:
        near = difflib.get_close_matches(none, labels, n=1, cutoff=0.6)
        do = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(labels[:12])
        findings.add("none", f"task.none is {none!r}, which is not one of the labels", "", do)


def split_report(rows: list[Row], reading: Reading, answer: Kind) -> dict[str, Any]:
    """Rows, answers, encodings and lengths of one split, as JSON values; lengths are in characters."""
    report: dict[str, Any] = {
        "rows": len(rows),
        "empty_rows": reading.empty_rows,
        **_answers_report(rows, answer),
        "encoding": dict(reading.encodings),
        **({"formats": dict(reading.formats)} if answer == "messages" else {}),
        "characters": _lengths([len(row.characters) for row in rows]),
    }
    if rows and rows[0].image is not None:
        report["images"] = _sizes(rows)
    if rows and isinstance(rows[0].text, tuple):
        report["tokens"] = _lengths([len(row.text) for row in rows])
    return report


def _answers_report(rows: list[Row], answer: Kind) -> dict[str, Any]:
    """How often each label is there; of numbers the least, the mean and the most; questions with and without answer."""
    if answer == "answers":
        answered = sum(bool(row.label) for row in rows)
        return {"answers": {"with": answered, "without": len(rows) - answered}}
    if answer == "messages":
        return {"replies": sum(row.talk.replies for row in rows if row.talk is not None)}
    if answer == "number":
        return {"numbers": numbers.spread(rows)}
    if answer == "passage":
        return {"negatives": sum(len(row.labels) - 1 for row in rows)}
    if answer in WRITTEN:
        return {"targets": _lengths([len(one) for row in rows for one in row.labels])} if answer == "target" else {}
    counts = Counter(label for row in rows for label in row.labels)
    return {"labels": {label: counts[label] for label in sorted(counts)}}


def label_counts(labels: Sequence[str], report: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Split to label to rows, in the order of the label set; for a task of tokens, type to entities.

    Nothing where the answers are no names.
    """
    if report["answer"] not in NAMED:
        return {}
    entities = report["answer"] == "tags"
    names = [label for label in labels if label.startswith("B-")] if entities else labels
    return {
        split: {label[2:] if entities else label: about["labels"].get(label, 0) for label in names}
        for split, about in report["splits"].items()
    }


def duplicates_report(splits: dict[str, list[Row]], answer: Kind) -> dict[str, Any]:
    """Repeated rows and texts under different labels in each split, and texts that two splits share.

    A text may have different numbers: they are no labels.
    """
    repeated: dict[str, int] = {}
    conflicting: dict[str, int] = {}
    texts: dict[str, set[Any]] = {}
    for name, rows in splits.items():
        labels = labels_by_text(rows)
        texts[name] = set(labels)
        repeated[name] = len(rows) - sum(len(under) for under in labels.values())
        conflicting[name] = 0 if answer in FREE else sum(len(under) > 1 for under in labels.values())
    shared = {f"{one} and {other}": len(texts[one] & texts[other]) for one, other in combinations(splits, 2)}
    return {"repeated": repeated, "conflicting": conflicting, "shared": shared}


def reading_warnings(readings: dict[str, Reading]) -> list[str]:
    """What is odd about the files of a split as such: many empty rows, texts that were damaged before."""
    notes = []
    for name, reading in readings.items():
        rows = len(reading.rows) + reading.empty_rows
        if reading.empty_rows > 5 and reading.empty_rows > 0.01 * rows:
            notes.append(f"{name}: {reading.empty_rows:,} of {rows:,} rows are empty and were left out")
        notes += [f"{name}: {note}" for note in reading.notes]
        damaged = [row.where for row in reading.rows if REPLACEMENT in row.characters]
        if damaged:
            what = f"{len(damaged):,} {_texts(len(damaged))} with U+FFFD, which a wrong encoding left when it was saved"
            notes.append(f"{name}: {what} (first in {damaged[0]})")
    return notes


def cut_warning(task: PlainTask, rows: list[Row]) -> list[str]:
    """Where a row of words has Chinese characters one by one: `predict` would cut a text into other pieces."""
    tokens = tokens_of_rows(task)
    if tokens in (None, "characters"):
        return []
    chinese = [token for row in rows[:MOST_LOOKED_AT] for token in row.text if HAN.search(token)]
    single = sum(len(token) == 1 for token in chinese)
    if len(chinese) < FEWEST_TOKENS or single < 0.95 * len(chinese):
        return []
    what = f"{single:,} of {len(chinese):,} Chinese tokens are single characters, and predict cuts texts by {tokens}"
    return [f'train: {what}; write TokenClassification(tokens="characters")']


def shots_warning(shots: int | None, report: Mapping[str, Any]) -> list[str]:
    """Where a label has fewer rows than were wanted of each."""
    counts = report["splits"]["train"].get("labels", {}) if shots else {}
    fewer = [f"{label} ({count:,})" for label, count in counts.items() if count < (shots or 0)]
    return [f"train holds fewer than data.shots={shots} rows of " + ", ".join(fewer[:20])] if fewer else []


def warnings_of(report: dict[str, Any], labels: tuple[str, ...], duplicates: str) -> list[str]:
    """What a user should know before training; each one sentence."""
    notes, of = [], report["of"]
    repeats = report["duplicates"]
    for pair, count in repeats["shared"].items():
        if count and not pair.startswith("validation"):
            drop = "" if duplicates == "drop" else "; data.duplicates='drop' takes them out of train"
            notes.append(f"{pair} share {count:,} {_texts(count, of)}, so scores come out too high{drop}")
    for name, count in repeats["conflicting"].items():
        if count:
            notes.append(f"{name}: {count:,} {_texts(count, of)} under different labels")
    train = report["splits"]["train"]
    if report["answer"] not in NAMED:
        return notes
    alike = Counter(dict.fromkeys(labels, 0))
    for counts in label_counts(labels, report).values():
        alike.update(counts)
    notes += spelling.alike({name: count for name, count in alike.items() if count}, "rows")
    absent = [label for label in labels if label not in train["labels"]]
    if absent:
        notes.append("train holds no row of these labels: " + ", ".join(absent[:20]))
    if len(labels) > MANY_LABELS and len(labels) > train["rows"] / 5:
        notes.append(f"{len(labels):,} labels for {train['rows']:,} rows: is the label column the right one?")
    return notes


def _lengths(lengths: list[int]) -> dict[str, int]:
    if not lengths:
        return {"median": 0, "p95": 0, "longest": 0}
    ranked = sorted(lengths)
    rank = -(-95 * len(ranked) // 100)
    return {"median": statistics.median_low(ranked), "p95": ranked[rank - 1], "longest": ranked[-1]}


def _sizes(rows: list[Row]) -> dict[str, Any]:
    """Pixels of the images as they are in their files, and how many there are of each format."""
    images = [row.image for row in rows if row.image is not None]
    kinds = Counter(image.kind for image in images)
    return {
        "width": {"least": min(i.width for i in images), **_lengths([i.width for i in images])},
        "height": {"least": min(i.height for i in images), **_lengths([i.height for i in images])},
        "formats": dict(kinds.most_common()),
    }


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _texts(count: int, of: str = "text") -> str:
    return of if count == 1 else f"{of}s"
