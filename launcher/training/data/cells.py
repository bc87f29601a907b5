"""From the value of a table's cell to a label, a text or a sentence. No value is ever evaluated."""

from __future__ import annotations

import contextlib
import json
from functools import lru_cache
from typing import Any
from unicodedata import category

from launcher.recipe.fields import Kind
from launcher.training.data import answers
from launcher.training.data.examples import Reading, Row
from launcher.training.data.findings import Findings
from launcher.training.data.lists import half_a_list, list_in
from launcher.training.data.numbers import fault_of, number_of
from launcher.training.data.spans import Span, are_spans, spans_in
from launcher.training.data.tag_schemes import LETTERS, tag_fault, typed

MISSING = object()
"""Stands for a column that a JSON object does not have."""
ALONE = object()
"""Stands for the second text where rows are not pairs."""

INVISIBLE = " \t\n\r\v\f\x85\xa0\u3000\u200b\u200c\u200d\u2060\ufeff\xad"
"""Characters that a text may consist of and still count as empty."""

LARGEST_TEXT = 2**24
"""Characters of one text: a row that is longer is a file without line ends."""
SWITCHES = {"0", "1", "true", "false"}
JOINERS = "\u200c\u200d"
"""Invisible characters that words and pictures of some scripts need, also in a label."""


def is_empty(text: str) -> bool:
    """Whether there is nothing to see in `text`."""
    return not text.strip() or not text.strip(INVISIBLE)


def add_text(
    reading: Reading,
    text: Any,
    label: Any,
    where: str,
    findings: Findings,
    answer: Kind = "label",
    separator: str = "",
    pair: Any = ALONE,
    start: Any = None,
    spans: tuple[Span, ...] = (),
) -> None:
    """Add a row with an answer about a whole text, count it as empty, or note what is wrong with it.

    Where the answer is `labels`, the `separator` parts them. `pair` is a second text; where the label is answers that
    stand in it, `start` may say at which character. `spans` are places in the first text.
    """
    texts = [text] if pair is ALONE else [text, pair]
    if any(one is MISSING for one in texts):
        return findings.add("no text", "the row has no text column", where)
    for one in texts:
        if one is not None and not isinstance(one, str):
            return findings.add("text", f"the text is {kind_of(one)}, not a string", where)
    if any(one is None or is_empty(one) for one in texts):
        reading.empty_rows += 1
        return None
    fault = next((fault for fault in map(fault_in, texts) if fault), "")
    if fault:
        return findings.add("characters", fault, where)
    if answer == "answers":
        return _add_answers(reading, (text, pair), written_list(label), written_list(start), where, findings)
    if answer == "document":
        value: str | tuple[str, ...] | None = ""
    elif answer == "number":
        value = _number(label, where, findings)
    else:
        value = labels_in(label, where, findings, separator)
    if value is not None:
        reading.rows.append(Row(text, value, where, None if pair is ALONE else pair, spans))
    return None


def _add_answers(
    reading: Reading, texts: tuple[str, str], cell: Any, start: Any, where: str, findings: Findings
) -> None:
    """Add a question with its context and the answers in it, or note what is wrong with them."""
    if cell is MISSING:
        do = "give each question its answers; an empty list says that it has none"
        return findings.add("answers", "the row has no answers", where, do)
    try:
        found = answers.answers_in(texts[1], cell, None if start is MISSING else start)
    except answers.NotThere as error:
        do = "copy the answer from the context letter by letter, or take the row out"
        with contextlib.suppress(ValueError):
            if answers.answers_in(texts[0], cell).spans:
                do = "the question has it: data.text is the column of the question, data.text_pair that of the context"
        return findings.add("answers", str(error), where, do)
    except ValueError as error:
        return findings.add("answers", str(error), where, answers.WRITE)
    for remark, count in found.remarks.items():
        reading.noticed.setdefault(remark, []).append((where, count))
    reading.rows.append(Row(texts[0], found.texts, where, texts[1], found.spans))
    return None


def _number(value: Any, where: str, findings: Findings) -> str | None:
    """The row's number, or None once a problem was noted."""
    number = number_of(value)
    if number is not None:
        return number
    if value is None or value is MISSING or (isinstance(value, str) and not value.strip()):
        what, do = "the row has no number", "give the row a number or take it out"
    else:
        what, do = fault_of(value, kind_of(value))
    findings.add("number", what, where, do)
    return None


def labels_in(label: Any, where: str, findings: Findings, separator: str = "") -> str | tuple[str, ...] | None:
    """The row's label, with a `separator` its labels; or None once a problem was noted."""
    what, do = _list_fault(label, separator)
    if what:
        findings.add("list", what, where, do)
        return None
    parts = _parted(label, separator) if separator else [label]
    names = [label_of(part) for part in parts]
    if None in names:
        wrong = parts[names.index(None)]
        findings.add("no label", _label_fault(wrong), where, "give the row a label or take it out")
        return None
    if len(set(names)) < len(names) and set(names) <= SWITCHES:
        what = f"the labels {', '.join(map(str, names[:12]))} are not names, but one yes or no for each class"
        findings.add("list", what, where, "write the names of the labels that the text has")
        return None
    labels = tuple(sorted({str(name) for name in names}))
    return labels if separator else labels[0]


def _parted(label: Any, separator: str) -> list[Any]:
    """The labels of a cell: those of a list, or the parts of a string; an empty one means no labels, and so does a
    null, which is how Parquet and pandas keep an empty cell.
    """
    if label is None:
        return []
    if isinstance(label, list):
        return label
    if not isinstance(label, str):
        return [label]
    written = list_in(label)
    if written is not None:
        return written
    return label.split(separator) if label.strip() else []


def _list_fault(label: Any, separator: str) -> tuple[str, str]:
    """What is wrong with a cell that holds a list as text, and what to do: only a task of several labels reads one."""
    if isinstance(label, list) and not separator:
        do = "keep one label, or write MultiLabelClassification, which reads several"
        return f"the label is a list of {len(label):,}, and the task takes one", do
    if not isinstance(label, str):
        return "", ""
    written = list_in(label)
    if separator:
        if written is not None or not half_a_list(label):
            return "", ""
        do = f'write ["one", "other"] or one{separator}other; a name with brackets around it goes into a list of JSON'
        return f"the cell {label[:60]!r} looks like a list, but not of names between quotes", do
    of_numbers = bool(written) and not any(isinstance(item, str) for item in written or ())
    if written is None or (of_numbers and not label.strip().startswith("[")):
        return "", ""
    do = "write the label alone; MultiLabelClassification reads a list of several"
    return f"the label {label[:60]!r} is a list written as text", do


def add_sentence(reading: Reading, tokens: Any, tags: Any, where: str, findings: Findings) -> None:
    """Add a row of token classification, count it as empty, or note what is wrong with it."""
    tokens, tags = written_list(tokens), written_list(tags)
    if tokens is None or tokens == [] or (isinstance(tokens, str) and is_empty(tokens)):
        reading.empty_rows += 1
        return None
    if isinstance(tokens, str) and are_spans(tags):
        return _add_spans(reading, tokens, tags, where, findings)
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        shown = "missing" if tokens is MISSING else kind_of(tokens)
        do = "a sentence is a list of tokens: use JSON lines or Parquet, or Columns for CoNLL files"
        return findings.add("tokens", f"the tokens are {shown}, not a list of strings", where, do)
    if not isinstance(tags, list):
        shown = "missing" if tags is MISSING or tags is None else f"{kind_of(tags)}, not a list"
        return findings.add("tags", f"the tags are {shown}", where, "give one tag for each token")
    if len(tokens) != len(tags):
        what = f"{len(tokens):,} tokens but {len(tags):,} tags"
        return findings.add("lengths", what, where, "give one tag for each token")
    return add_tagged(reading, tokens, [label_of(tag) or "" for tag in tags], where, findings)


def written_list(value: Any) -> Any:
    """A list that is written as text in the cell of a CSV file."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    parsed = list_in(value)
    if parsed is None:
        with contextlib.suppress(ValueError, RecursionError):
            parsed = json.loads(value)
    return value if parsed is None else parsed


def _add_spans(reading: Reading, text: str, value: Any, where: str, findings: Findings) -> None:
    """Keep a text with the entities that are marked in it; `read` cuts it once the split is known."""
    fault = fault_in(text)
    if fault:
        return findings.add("characters", fault, where)
    try:
        reading.spanned.append((text, spans_in(text, value), where))
    except ValueError as error:
        findings.add("spans", str(error), where, "mend the places, which count characters from 0")
    return None


def add_tagged(reading: Reading, tokens: list[str], tags: list[str], where: str, findings: Findings) -> None:
    """Add a sentence whose tokens and tags are strings, one tag a token; `tags_to_bio` sees to their scheme."""
    if all(is_empty(token) for token in tokens):
        reading.empty_rows += 1
        return
    fault = fault_in("".join(tokens))
    if "" in tokens:
        fault = f"token {tokens.index('') + 1:,} of the sentence is empty"
    if fault:
        findings.add("characters", fault, where)
        return
    wrong = next((f for f in (tag_fault(tag) or _invisible(tag) for tag in dict.fromkeys(tags)) if f), "")
    if wrong:
        findings.add("tag", wrong, where, "in BIO: O, B-TYPE for a first token, I-TYPE for the others")
        return
    tags = tags if LETTERS.isdisjoint(tags) else list(map(typed, tags))
    reading.rows.append(Row(tuple(tokens), tuple(tags), where))


def label_of(value: Any) -> str | None:
    """A label as a string: `1`, `1.0` and `"1"` are all '1', true is 'true'; None where there is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    if not isinstance(value, str) or fault_in(value) or _invisible(value.strip()):
        return None
    return value.strip() or None


def fault_in(text: str) -> str:
    """What makes `text` unusable: its size, NUL, or half a surrogate pair (both can be escaped in JSON); or ''."""
    if len(text) > LARGEST_TEXT:
        return f"the text has {len(text):,} characters, more than the {LARGEST_TEXT:,} that a row may have"
    if "\0" in text:
        return "the text holds a NUL character"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "the text holds half of a surrogate pair, which no encoding can write"
    return ""


def add_labelled(reading: Reading, text: str, labels: list[str], where: str, findings: Findings, answer: Kind) -> None:
    """Add a row whose labels are in its line; only a task whose answer is `labels` takes more than one."""
    if answer == "labels" and labels:
        return add_text(reading, text, labels, where, findings, answer, separator="|")  # a list is not parted
    if len(labels) > 1:
        what = f"the line has {len(labels):,} labels ({', '.join(labels[:5])}), and the task takes one"
        return findings.add("labels", what[:200], where, "keep one of them, or leave the line out")
    return add_text(reading, text, labels[0] if labels else None, where, findings)


@lru_cache(maxsize=4096)  # labels are few, and looked up with every row or token
def _invisible(label: str) -> str:
    """What in a label would steer a terminal or make two labels look alike when shown; or ''."""
    for character in label:
        if category(character) in ("Cc", "Cf") and character not in JOINERS:
            return f"it holds the character U+{ord(character):04X}, which controls and is not seen"
    return ""


def _label_fault(label: Any) -> str:
    if label is None or label is MISSING or label == "" or (isinstance(label, str) and not label.strip()):
        return "the row has no label"
    if isinstance(label, float):
        return f"the label {label} is not a whole number; classes are named by strings or whole numbers"
    if isinstance(label, str):
        return f"the label {label[:60]!r} cannot be used: {fault_in(label) or _invisible(label.strip())}"
    return f"the label is {kind_of(label)}, not a string"


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value)) or ("a number" if isinstance(value, int | float) else type(value).__name__)
