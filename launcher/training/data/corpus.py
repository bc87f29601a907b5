"""Data as training sees it: read, checked, freed of repeated rows, cut into three splits, reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launcher.errors import DataError, Problem
from launcher.recipe.about_images import reads_images
from launcher.recipe.data import Data, Texts
from launcher.recipe.declared import SPAN_ENDS
from launcher.recipe.fields import NAMED, WRITTEN
from launcher.recipe.language_data import streams
from launcher.recipe.task import (
    PlainTask,
    answer_of,
    labels_of,
    with_tokens_of_rows,
)
from launcher.training.data import augmentation, checks, images, spelling
from launcher.training.data.examples import Corpus, Location, Reading, Row
from launcher.training.data.findings import Findings
from launcher.training.data.locations import shown_names, sources_of
from launcher.training.data.mismatch import refuse_mismatch
from launcher.training.data.reader import read_split
from launcher.training.data.splitting import cut, few, without_duplicates
from launcher.training.data.synonyms import Synonyms, read_synonyms
from launcher.training.data.tag_schemes import typed


def read_corpus(data: Data, task: PlainTask) -> Corpus:
    """Read, check and split everything `data` names.

    The label set, where the task names none, is that of the training file before splits are cut from it. Of a task
    whose answer is a number it is the answer's name alone, and of answers in a text `SPAN_ENDS`.
    Raises DataError with all problems of all files together (20 in full, the rest counted by kind).
    """
    refuse_mismatch(data, task)
    if isinstance(data, Texts) and streams(data):
        from launcher.training.data import stream_corpus  # it imports numpy, which no other data needs

        return stream_corpus.read(data, task)
    return _held(data, task)


def _held(data: Data, task: PlainTask) -> Corpus:
    """A corpus that is read whole."""
    task = _typed(task)
    readings, synonyms = _read_all(data, task)
    answer = answer_of(task)
    renamed = spelling.same_numbers(readings, labels_of(task) or ()) if answer in ("label", "labels") else []
    splits = {name: reading.rows for name, reading in readings.items()}
    read = len(splits["train"])
    labels = _labels(task, splits)
    dropped = {"repeated": 0, "conflicting": 0, "in_a_given_split": 0}
    if data.duplicates == "drop":
        given = [rows for name, rows in splits.items() if name != "train"]
        splits["train"], dropped = without_duplicates(splits["train"], given, answer)
        if not splits["train"]:
            what = f"no row of train is left of {read:,} once repeated ones are dropped"
            raise DataError(Problem(what, do="data.duplicates='keep' keeps them"))
        if answer in NAMED:
            checks.label_set(task, splits["train"])
    splits, sizes = cut(data, splits)
    splits["train"] = few(data, splits["train"])
    encodings = readings["train"].encodings
    duplicates = {"handling": data.duplicates, "dropped": dropped, **checks.duplicates_report(splits, answer)}
    copies = _copied(data, synonyms, splits)
    report: dict[str, Any] = {
        "answer": answer,
        "of": "image" if reads_images(task) else "text",
        "splits": {
            name: checks.split_report(rows, readings.get(name) or Reading(encodings=encodings), answer)
            for name, rows in splits.items()
        },
        "duplicates": duplicates,
        "tags": {
            name: {"scheme": reading.scheme, "converted": reading.converted}
            for name, reading in readings.items()
            if reading.scheme
        },
        "cut": {name: sizes[name] for name in ("validation", "test") if name in sizes},
        **({"augmented": copies.report()} if copies else {}),
    }
    warnings = renamed + checks.reading_warnings(readings) + checks.cut_warning(task, splits["train"])
    warnings += checks.warnings_of(report, labels, data.duplicates)
    warnings += checks.shots_warning(data.shots, report)
    report["warnings"] = warnings + (copies.warnings() if copies else [])
    return Corpus(splits, labels, report, len(copies.rows) if copies else 0)


def _copied(data: Data, synonyms: Synonyms, splits: dict[str, list[Row]]) -> augmentation.Augmented | None:
    """Add changed copies to train, if there are to be any."""
    if data.augment is None:
        return None
    copies = augmentation.augmented(data.augment, synonyms, splits["train"], splits["validation"] + splits["test"])
    splits["train"] = splits["train"] + copies.rows
    return copies


def read_rows(data: Data, task: PlainTask, location: Location) -> list[Row]:
    """The rows of one more file of the same kind as `data`, in the order of the file, empty ones left out.

    `location` may name several. For LabelledFiles it is the files of each label, or tables with columns text and label.
    Labels are not checked against any set; see `under_known_labels`. Raises DataError with all problems.
    """
    if reads_images(task):
        data = images.as_given(data, location)
    refuse_mismatch(data, task)
    findings = Findings()
    sources = sources_of(location, findings, data)
    reading = read_split(data, task, sources, shown_names(source.location for source in sources), findings)
    findings.raise_if_any()
    return reading.rows


def under_known_labels(rows: list[Row], labels: tuple[str, ...], split: str) -> list[Row]:
    """The rows with their labels spelt as in `labels`; `split` names the rows.

    Raises DataError that lists each label that is not one of them.
    """
    findings, rows = Findings(), spelling.under_known_labels(rows, labels)
    checks.check_labels(rows, labels, split, findings)
    findings.raise_if_any()
    return rows


def _read_all(data: Data, task: PlainTask) -> tuple[dict[str, Reading], Synonyms]:
    locations: dict[str, Location] = {"train": data.train}
    if data.validation is not None:
        locations["validation"] = data.validation
    if data.test is not None:
        locations["test"] = data.test
    findings = Findings()
    sources = {name: sources_of(location, findings, data) for name, location in locations.items()}
    names = shown_names(source.location for split_sources in sources.values() for source in split_sources)
    readings = {}
    for name, split_sources in sources.items():
        readings[name] = read_split(data, task, split_sources, names, findings)
        task = with_tokens_of_rows(task, readings[name].tokens)  # the other splits are cut as train was
    how = data.augment
    synonyms = read_synonyms(how.synonyms, findings) if how is not None and how.synonyms is not None else {}
    labels = labels_of(task)
    if answer_of(task) == "labels" and labels is None:
        spelling.refuse_other_separator(data, [row for each in readings.values() for row in each.rows], findings)
    if len(findings) and labels is not None:
        for name, reading in readings.items():
            checks.check_labels(reading.rows, labels, name, findings)
        checks.check_weights(task, labels, findings)
        checks.check_none(task, labels, findings)
    if data.encoding is not None and not len(findings) and not any(each.encodings for each in readings.values()):
        what = f"data.encoding={data.encoding!r} says how text files are written, and none of the data is one"
        findings.add("encoding", what, do="leave data.encoding out")
    findings.raise_if_any()
    return readings, synonyms


def _typed(task: PlainTask) -> PlainTask:
    """The task with a type for tags of its own that have none, as the rows' tags get one."""
    labels = labels_of(task)
    if answer_of(task) != "tags" or labels is None:
        return task
    known: Any = task
    named: PlainTask = replace(known, labels=tuple(map(typed, labels)))
    return named


def _labels(task: PlainTask, splits: dict[str, list[Row]]) -> tuple[str, ...]:
    """The label set, which every split must keep to; for numbers the answer's name, as there is one output; and for
    answers in a text what their ends are called.
    """
    answer, wanted = task.fields[-1], labels_of(task)
    if answer.kind in WRITTEN:
        return ()
    if answer.kind == "answers":
        checks.refuse_no_answer(splits["train"])
        return SPAN_ENDS
    if answer.kind == "number":
        checks.refuse_one_number(splits["train"])
    if answer.kind == "passage":
        checks.refuse_one_passage(splits["train"])
    if answer.kind in ("number", "passage"):
        return (answer.name,)
    if wanted is not None and len(set(wanted)) < len(wanted):
        raise DataError(Problem(f"task.labels names a label twice: {', '.join(wanted)}"))
    if answer.kind == "tags" and wanted is not None and "O" not in wanted:
        do = "add 'O', the tag of what belongs to none, even where no token has it"
        raise DataError(Problem(f"task.labels has no 'O': {', '.join(wanted[:12])}", do=do))
    findings = Findings()
    labels = checks.label_set(task, splits["train"])
    for name, rows in splits.items():
        checks.check_labels(rows, labels, name, findings)
    checks.check_weights(task, labels, findings)
    checks.check_none(task, labels, findings)
    findings.raise_if_any()
    return labels
