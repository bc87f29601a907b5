"""Queries with the passages that belong to them, and with those that do not: rows of `Pairs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launcher.training.data.cells import MISSING, fault_in, is_empty, kind_of, written_list
from launcher.training.data.examples import Reading, Row
from launcher.training.data.findings import Findings

COMPLETE = "complete the pair or take it out"


def add_passages(
    reading: Reading, query: Any, positive: Any, negatives: Sequence[Any], where: str, findings: Findings
) -> None:
    """Add a row for each passage of a query, count it as empty, or note all that is wrong with it.

    `negatives` are the cells of the columns of hard negatives; each is a text, a list of texts, or empty.
    """
    parts = {"query": _texts(query), "positive": _texts(positive)}
    parts |= {"negative": [text for cell in negatives for text in _texts(cell)]} if negatives else {}
    wrong = next(((name, text) for name, texts in parts.items() for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        return findings.add("text", f"the {wrong[0]} is {kind_of(wrong[1])}, not a string", where)
    there = {name: [text for text in texts if not is_empty(text)] for name, texts in parts.items()}
    if not there["query"] and not there["positive"]:
        reading.empty_rows += 1
        return None
    before = len(findings)
    if len(parts["query"]) > 1:
        findings.add("query", f"the query is a list of {len(parts['query']):,} texts", where, "give each a row")
    for name, other in (("query", "positive"), ("positive", "query")):
        if not there[name]:
            findings.add("half", f"the row has a {other} and no {name}", where, COMPLETE)
    if negatives and len(there["negative"]) < len(parts["negative"]):
        findings.add("empty negative", "a negative is an empty text", where, "take it out of the list")
    own = {text.strip() for text in there["positive"]}
    if any(text.strip() in own for text in there.get("negative", ())):
        do = "take it out of the negatives"
        findings.add("negative", "a negative is the passage that belongs to the query", where, do)
    fault = next((fault for texts in there.values() for fault in map(fault_in, texts) if fault), "")
    if fault:
        findings.add("characters", fault, where)
    if len(findings) == before:
        hard = tuple(there.get("negative", ()))
        reading.rows += [Row(there["query"][0], (text, *hard), where) for text in there["positive"]]
    return None


def refuse_without_negatives(rows: Sequence[Row], findings: Findings) -> None:
    """Note rows without a negative, for a task that cannot learn from such."""
    for row in rows:
        if len(row.labels) < 2:
            do = "name the column of negatives: data.negatives; `launcher mine` finds some"
            findings.add("no negative", "the row has no passage that does not belong to its query", row.where, do)


def _texts(cell: Any) -> list[Any]:
    """What a cell holds: a list, also one of JSON in a CSV file; one text; or nothing."""
    listed = written_list(cell)
    if isinstance(listed, list):
        return listed
    return [] if cell is None or cell is MISSING or cell == "" else [cell]
