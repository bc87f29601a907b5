"""Data that holds no rows for a task, where it is read without the recipe's rules."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.errors import DataError, Problem
from launcher.recipe.data import Columns, Data, held_by
from launcher.recipe.fields import Kind
from launcher.recipe.task import PlainTask, lacking, of_entities

SOUGHT: Mapping[Kind, str] = {
    "number": "numbers",
    "answers": "answers",
    "entities": "entities",
    "image": "images",
    "label": "labels",
    "target": "texts to write",
    "passage": "passages",
    "passages": "passages",
    "messages": "conversations",
    "document": "documents",
    "text": "texts",
}
"""Words for what a kind of data does not hold."""
OTHERS: Mapping[Kind, str] = {
    "answers": "use Questions",
    "document": "use Texts",
    "passage": "use Pairs",
    "passages": "use Pairs",
}
"""What to do where no Table holds it."""


def refuse_mismatch(data: Data, task: PlainTask) -> None:
    """Raise DataError where data of this kind holds no rows for this task."""
    holds = held_by(data)
    missing = lacking(task, holds)
    if missing is None:
        return
    if missing == "messages":
        what, do = f"{data.kind} holds no conversations", "use Conversations"
    elif missing == "tags":
        do = "leave data.relation out" if isinstance(data, Columns) else "use Columns"
        what = f"{data.kind} holds whole texts, not tagged sentences"
    elif "tags" in holds and missing not in OTHERS:
        do = "name the column of the relation: data.relation" if of_entities(task) else "use a Table"
        what = f"{data.kind} holds tagged sentences, not labelled texts"
    elif missing == "labels":
        what, do = f"{data.kind} gives each text one label", "use a Table, or LabelledLines"
    else:
        labels = "labels, not" if "label" in holds else "no"
        do = OTHERS.get(missing, "use a Table")
        what = f"{data.kind} holds {labels} {SOUGHT[missing]}"
    raise DataError(Problem(what, do=do))
