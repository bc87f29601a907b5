"""Texts that were damaged before they came here: UTF-8 that was read in another encoding and saved again.

Such a file is valid UTF-8, so no decoder complains. But turning its texts back gives valid UTF-8 once more, which
a text of several characters beyond ASCII that was meant as it stands never does.
"""

from __future__ import annotations

from launcher.training.data.examples import Reading
from launcher.training.data.findings import Findings

MISREAD_AS = ("cp1252", "latin-1", "gb18030")
SAMPLE = 200
"""Rows examined, of those with characters beyond ASCII."""
FEWEST = 3
"""Characters beyond ASCII that a text must have to be evidence."""


def refuse_mojibake(reading: Reading, findings: Findings) -> None:
    """Note it where more than half of the texts with enough evidence were saved in a wrong encoding."""
    looked_at = 0
    rows_by_encoding: dict[str, list[str]] = {}
    for row in reading.rows:
        text = row.characters
        if text.isascii() or sum(character > "\x7f" for character in text) < FEWEST:
            continue
        looked_at += 1
        encoding = misread_as(text)
        if encoding:
            rows_by_encoding.setdefault(encoding, []).append(row.where)
        if looked_at == SAMPLE:
            break
    for encoding, rows in rows_by_encoding.items():
        if 2 * len(rows) > looked_at:
            what = f"the texts were UTF-8, were read as {encoding} and saved again: {len(rows):,} of {looked_at:,}"
            do = f"take the file from its source, or turn it back: text.encode({encoding!r}).decode('utf-8')"
            findings.add("mojibake", what, f"first in {rows[0]}", do)


def misread_as(text: str) -> str:
    """The encoding that UTF-8 was taken for before this text was saved, or ''."""
    for encoding in MISREAD_AS:
        try:
            if len(text.encode(encoding).decode("utf-8")) < len(text):
                return encoding
        except UnicodeError:
            continue
    return ""
