"""Texts that are to be written for texts: translations and summaries, in a table or in two files line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from launcher.recipe.about_images import skips_broken
from launcher.recipe.parallel import SIDES
from launcher.recipe.task import PlainTask
from launcher.training.data.cells import MISSING, fault_in, is_empty, kind_of, written_list
from launcher.training.data.examples import Reading, Row
from launcher.training.data.findings import Findings

SHOWN = 5
"""Rows that a note names."""
MUCH_LONGER = 9.0
"""One side has so many times the other's characters: what Moses' clean-corpus takes for two texts that do not belong
together, of words."""
AT_LEAST = 30
"""Characters of the longer side, below which a ratio says nothing."""


def add_target(reading: Reading, text: Any, target: Any, where: str, findings: Findings, a_cell: bool = True) -> None:
    """Add a text with what is to be written for it, count it as empty, or note what is wrong with it.

    A list of texts, also one that is written in a table's cell, is several targets, each of them right.
    """
    for name, cell in zip(SIDES, (text, target), strict=True):
        if cell is MISSING:
            return findings.add(f"no {name}", f"the row has no {name} column", where)
    if text is not None and not isinstance(text, str):
        return findings.add("text", f"the text is {kind_of(text)}, not a string", where)
    listed = written_list(target) if a_cell else None
    given = listed if isinstance(listed, list) and all(isinstance(one, str) for one in listed) else [target]
    wrong = next((one for one in given if one is not None and not isinstance(one, str)), None)
    if wrong is not None:
        return findings.add("target", f"the target is {kind_of(wrong)}, not a string", where)
    targets = [one for one in given if one is not None and not is_empty(one)]
    lacking = [name for name, there in zip(SIDES, (text and not is_empty(text), targets), strict=True) if not there]
    if len(lacking) == len(SIDES):
        reading.empty_rows += 1
    elif lacking:
        reading.halves.append((where, lacking[0]))
    elif fault := next((fault for fault in map(fault_in, [text or "", *targets]) if fault), ""):
        return findings.add("characters", fault, where)
    else:
        reading.rows.append(Row(str(text), targets[0] if len(targets) == 1 else tuple(targets), where))
    return None


def add_lines(reading: Reading, side: str, name: str, lines: list[str]) -> None:
    """Keep one side's file until those of the other side are read, too."""
    reading.sides.setdefault(side, []).append((name, lines))


def conclude(reading: Reading, task: PlainTask, findings: Findings) -> None:
    """Make rows of the two sides; refuse or count rows of which one side is empty; note pairs that look wrong."""
    _pair(reading, findings)
    if skips_broken(task):
        if reading.halves:
            reading.notes.append(f"{_counted(reading.halves, 'without a text or a target')}, and left out")
    else:
        for where, side in reading.halves:
            other = SIDES[1 - SIDES.index(side)]
            do = "complete it or take it out; task.broken='skip' leaves such rows out"
            findings.add("half", f"the row has a {other} and no {side}", where, do)
    reading.notes += _odd(reading.rows)


def _pair(reading: Reading, findings: Findings) -> None:
    """The lines of each file with those of its counterpart."""
    texts, targets = (reading.sides.get(side, []) for side in SIDES)
    if len(texts) != len(targets) and not len(findings):
        what = f"there are {len(texts):,} files of texts and {len(targets):,} of targets"
        findings.add("files", what, ", ".join(name for name, _ in [*texts, *targets][:12]), "name as many of either")
    for (name, lines), (other, beside) in zip(texts, targets, strict=False):
        if len(lines) != len(beside):
            _refuse_unequal(_end_of(name, lines), _end_of(other, beside), findings)
        for number, (text, target) in enumerate(zip(lines, beside, strict=False), 1):
            add_target(reading, text, target, f"{name} line {number:,}", findings, a_cell=False)
    reading.sides = {}


def _end_of(name: str, lines: list[str]) -> tuple[str, int]:
    """The file's name and its lines, without empty ones at its end."""
    count = len(lines)
    while count and is_empty(lines[count - 1]):
        count -= 1
    return name, count


def _refuse_unequal(one: tuple[str, int], other: tuple[str, int], findings: Findings) -> None:
    (longer, most), (shorter, fewer) = (one, other) if one[1] > other[1] else (other, one)
    if most > fewer:
        what = f"{longer} has {most:,} lines and {shorter} {fewer:,}: {most - fewer:,} without a pair"
        do = f"find the line that {shorter} lacks: every pair from there on is wrong"
        findings.add("lines", what, f"{longer} line {fewer + 1:,}", do)


def _odd(rows: list[Row]) -> Iterator[str]:
    """Pairs whose sides are the same, or of very different lengths: one is often not a translation of the other."""
    same, unequal = [], []
    for row in rows:
        text, target = str(row.text), row.labels[0]
        short, long = sorted((len(text), len(target)))
        if text.strip() == target.strip():
            same.append((row.where, ""))
        elif long >= AT_LEAST and long > MUCH_LONGER * short and len(target) == long:
            unequal.append((row.where, ""))
    if same:
        yield _counted(same, "whose target is the text itself")
    if unequal:
        yield _counted(unequal, f"whose target is more than {MUCH_LONGER:g} times as long as the text")


def _counted(rows: list[tuple[str, str]], what: str) -> str:
    shown = ", ".join(where for where, _ in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'} {what} ({shown}{more})"
