"""Synonyms from a text file: words of one meaning a line.

happy, glad, cheerful            parted by commas, tabs, or blanks (the first of these that the line has)
高兴 开心 愉快
Aa01A01= 人 士 人物 人士          as the thesaurus Cilin writes it: only its lines of `=` are synonyms
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from launcher.errors import DataError, Problem
from launcher.training.data.decoding import lines_of, read_text
from launcher.training.data.findings import Findings
from launcher.training.data.locations import LocalFile, resolve

OF_CILIN = re.compile(r"[A-Z][a-z][0-9]{2}[A-Z][0-9]{2}([=#@])$")
SEPARATORS = ("\t", r"[,，、]", r"\s")
FORM = "write words of one meaning on a line, as `happy, glad, cheerful`"

Synonyms = Mapping[str, tuple[str, ...]]
"""For each word, in lower case, those that may stand for it."""


def read_synonyms(location: str, findings: Findings) -> Synonyms:
    """What the file says; notes in `findings` a missing file, and lines that hold no two words."""
    try:
        source = resolve(location)
        if not isinstance(source, LocalFile):
            raise DataError(Problem(f"{location} is not a text file", "data.augment.synonyms", FORM))
        text, _ = read_text(source.path, location)
    except DataError as error:
        for problem in error.problems:
            findings.add("file", problem.what, problem.where or "data.augment.synonyms", problem.do)
        return {}
    groups: dict[str, dict[str, None]] = {}
    for number, line in enumerate(lines_of(text), 1):
        words = _words(line)
        if len({word.lower() for word in words}) == 1:
            findings.add("synonyms", "the line has one word, and no synonym of it", f"{location} line {number:,}", FORM)
            continue
        for word in words:
            groups.setdefault(word.lower(), {}).update(dict.fromkeys(words))
    if not groups and not len(findings):
        findings.add("file", "there is no synonym in it", location, FORM)
    return {word: tuple(other for other in others if other.lower() != word) for word, others in groups.items()}


def _words(line: str) -> list[str]:
    """The words of one line; none where it has nothing to say."""
    line = line.strip()
    code, _, rest = line.partition(" ")
    if of_cilin := OF_CILIN.match(code):
        line = rest if of_cilin[1] == "=" else ""
    mark = next((mark for mark in SEPARATORS if re.search(mark, line)), r"\s")
    return list(dict.fromkeys(word.strip() for word in re.split(mark, line) if word.strip()))
