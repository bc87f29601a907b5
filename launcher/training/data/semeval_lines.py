"""Relations as SemEval-2010 task 8 wrote them: a sentence with both entities marked, its relation, a comment.

    1	"The <e1>system</e1> has its greatest application in antenna <e2>elements</e2>."
    Component-Whole(e2,e1)
    Comment: Not a collection.

An empty line parts the sentences; a numbered line with a mark in it begins one too, so that none is lost where empty
lines are missing. A comment may be missing; lines that follow it belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.training.data import marks
from launcher.training.data.cells import add_text
from launcher.training.data.decoding import lines_of
from launcher.training.data.examples import Reading
from launcher.training.data.findings import Findings

SENTENCE = re.compile(r"\d+[ \t]+(?P<text>.*)")
DO = 'write a line as 1<tab>"The <e1>one</e1> and the <e2>other</e2>.", its relation below, and an empty line'


def read_semeval(reading: Reading, text: str, name: str, findings: Findings) -> None:
    """Add a row for each sentence; notes those without a relation, or with marks that are wrong."""
    for number, block in _blocks(lines_of(text)):
        where, sentence = f"{name} line {number:,}", SENTENCE.fullmatch(block[0].strip())
        if sentence is None:
            findings.add("sentence", f"the line has no number before its sentence: {block[0][:60]!r}", where, DO)
            continue
        if len(block) < 2 or block[1].lower().startswith("comment:"):
            findings.add("relation", "the sentence has no relation", where, DO)
            continue
        told = sentence["text"].strip()
        if len(told) > 1 and told[0] == told[-1] == '"':
            told = told[1:-1]
        try:
            plain, pair = marks.parsed(told)
        except ValueError as error:
            findings.add("entities", str(error), where, marks.WRITE)
            continue
        add_text(reading, plain, block[1], where, findings, spans=pair)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines of each sentence, and the number of the first."""
    start, block = 0, list[str]()
    for number, line in enumerate([*lines, ""], 1):
        begins = SENTENCE.fullmatch(line.strip()) and marks.MARK.search(line)
        if block and (begins or not line.strip()):
            yield start, block
            block = []
        if line.strip():
            start = start if block else number
            block.append(line.strip())
