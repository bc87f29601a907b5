"""Lines with their labels written into them: `__label__positive a text`, as fastText reads them."""

from __future__ import annotations

import re

from launcher.recipe.data import LabelledLines
from launcher.recipe.fields import Kind
from launcher.training.data.cells import add_labelled
from launcher.training.data.decoding import lines_of
from launcher.training.data.examples import Reading
from launcher.training.data.findings import Findings

BLANK = r"[ \t\v\f\r]"
"""What parts words for fastText; an ideographic space does not."""


def read_labelled_lines(
    reading: Reading, text: str, name: str, data: LabelledLines, answer: Kind, findings: Findings
) -> None:
    """Add a row for each line; notes lines without a label, and unless the answer is `labels` those with more."""
    for number, line in enumerate(lines_of(text), 1):
        labels, rest = labels_and_text(line, data.prefix)
        if labels or rest:
            add_labelled(reading, rest, labels, f"{name} line {number:,}", findings, answer)


def labels_and_text(line: str, prefix: str) -> tuple[list[str], str]:
    """The labels of a line, wherever they stand, each once; and what is left of it."""
    word = re.compile(rf"(?:(?<={BLANK})|^){re.escape(prefix)}([^ \t\v\f\r]*)(?:{BLANK}+|$)")
    labels = list(dict.fromkeys(word.findall(line)))
    return labels, word.sub("", line).strip(" \t\v\f\r")
