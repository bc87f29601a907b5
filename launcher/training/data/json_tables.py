"""Tables as JSON: one object a line, a list of objects, objects one after another, or SQuAD's nested questions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from launcher.errors import DataError, Problem
from launcher.training.data.answers import questions_in
from launcher.training.data.cells import MISSING
from launcher.training.data.delimited import Cells, Wanted, chosen, positions
from launcher.training.data.findings import Findings

BLANK = re.compile(r"[ \t\n\r]*")
Numbered = tuple[int, Any]


def json_cells(text: str, name: str, ending: str, wanted: Wanted, findings: Findings) -> Iterator[Cells]:
    """The columns of a .json or .jsonl file, MISSING where an object lacks one.

    Raises DataError for a column that no object has; notes broken lines and what is not an object.
    """
    objects = []
    for number, value in _values(text, name, ending, findings):
        value = _of_label_studio(value, wanted) if isinstance(wanted, tuple) else value
        if isinstance(value, dict):
            objects.append((number, value))
        else:
            example = ", ".join(
                f'"{column}": …' for column in (wanted if isinstance(wanted, tuple) else ("messages",))[:3]
            )
            what = f"a JSON object is needed, as in {{{example}}}"
            findings.add("object", what, f"{name} row {number:,}")
    seen: dict[str, None] = {}
    for _, value in objects:
        seen.update(dict.fromkeys(value))
    columns = chosen(wanted, list(seen), name) if objects else ()
    positions(list(seen), columns, name)
    return ((number, tuple(value.get(c, MISSING) for c in columns)) for number, value in objects)


def json_names(text: str, name: str, ending: str, findings: Findings) -> tuple[str, ...]:
    """The columns that any of the objects has."""
    seen: dict[str, None] = {}
    for _, value in _values(text, name, ending, findings):
        if isinstance(value, dict):
            seen.update(dict.fromkeys(value))
    return tuple(seen)


def _of_label_studio(value: Any, columns: tuple[str, ...]) -> Any:
    """A task of Label Studio's export as an object of its texts, with what was marked in them as its label."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict) or "annotations" not in value:
        return value
    flat = {**value, **value["data"]}
    label = columns[1] if len(columns) > 1 else ""
    done = value["annotations"] if isinstance(value["annotations"], list) else []
    kept = [one for one in done if isinstance(one, dict) and not one.get("was_cancelled")]
    if label and label not in flat and kept and isinstance(kept[0].get("result"), list):
        marks = kept[0]["result"]
        said = [mark["value"] for mark in marks if isinstance(mark, dict) and isinstance(mark.get("value"), dict)]
        choices = [value["choices"] for value in said if isinstance(value.get("choices"), list)]
        of_text = choices and not any("start" in value for value in said)
        flat[label] = (choices[0][0] if len(choices[0]) == 1 else choices[0]) if of_text else marks
    return flat


def _values(text: str, name: str, ending: str, findings: Findings) -> list[Numbered]:
    """Each object with its number; of nested sets of questions, each question."""
    return questions_in(_objects(text, name, ending, findings))


def _objects(text: str, name: str, ending: str, findings: Findings) -> list[Numbered]:
    if ending == ".json":
        if text.lstrip().startswith("["):
            return _list(text, name)
        if not _first_line_is_whole(text):
            return _one_after_another(text, name)
    return _line_by_line(text, name, findings)


def _line_by_line(text: str, name: str, findings: Findings) -> list[Numbered]:
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values.append((number, json.loads(line)))
        except (ValueError, RecursionError) as error:
            findings.add("json", f"the line is not valid JSON: {_reason(error)}", f"{name} row {number:,}")
    return values


def _list(text: str, name: str) -> list[Numbered]:
    try:
        return list(enumerate(json.loads(text), 1))
    except (ValueError, RecursionError) as error:
        raise _broken(error, 1, name) from None


def _one_after_another(text: str, name: str) -> list[Numbered]:
    decoder = json.JSONDecoder()
    values: list[Numbered] = []
    line, counted, position = 1, 0, _past_blanks(text, 0)
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise _broken(error, line, name) from None
        values.append((line, value))
        position = _past_blanks(text, position)
    return values


def _first_line_is_whole(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _past_blanks(text: str, position: int) -> int:
    match = BLANK.match(text, position)
    return match.end() if match else position


def _broken(error: Exception, line: int, name: str) -> DataError:
    if isinstance(error, json.JSONDecodeError):
        line = error.lineno
    return DataError(Problem(f"the file is not valid JSON: {_reason(error)}", f"{name} line {line:,}"))


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno:,})"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
