"""What looks like a secret: by its name, or by how it is written. Such a thing is neither shown nor stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

HIDDEN = "(hidden)"
NAMED = "TOKEN|KEY|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|COOKIE"
NAME = re.compile(NAMED, re.IGNORECASE)
AFTER_A_NAME = re.compile(rf"(\b\w*(?:{NAMED})\w*=)[^\s,;&]+", re.IGNORECASE)
"""In a list of variables, or in the query of an address."""
IN_AN_ADDRESS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
OF_A_KIND = re.compile(
    r"\b(hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{20,}|glpat-[\w-]{20,}|sk-[A-Za-z0-9_-]{20,}"
    r"|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,})"
)
"""Tokens that their makers have given a beginning of its own."""


def shown(environment: Mapping[str, str], beginnings: Sequence[str]) -> dict[str, str]:
    """The variables whose names begin so, in order, without what looks like a secret."""
    names = sorted(name for name in environment if name.startswith(tuple(beginnings)))
    return {name: HIDDEN if NAME.search(name) else without(environment[name]) for name in names}


def without(text: str) -> str:
    """The text with each secret hidden that it shows by how it is written."""
    text = AFTER_A_NAME.sub(rf"\g<1>{HIDDEN}", IN_AN_ADDRESS.sub(HIDDEN, text))
    return OF_A_KIND.sub(HIDDEN, text)


def lines_with(text: str) -> Iterator[int]:
    """The lines, from 1, in which a secret is written out: in an address, or of a known kind."""
    for number, line in enumerate(text.splitlines(), start=1):
        if IN_AN_ADDRESS.search(line) or OF_A_KIND.search(line):
            yield number
