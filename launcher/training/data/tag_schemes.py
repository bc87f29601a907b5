"""The launcher's one internal tag scheme: BIO. IOB1, BIOES, BMES, BILOU and BMEWO are recognised and converted.

Which scheme it is follows from the letters that occur in all files of a split. Where letters fit several schemes
(short entities only: B, E and S) these mean the same; letters that no scheme has together are refused, and so is a
sentence that breaks the rules of its scheme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launcher.training.data.examples import Reading, Row
from launcher.training.data.findings import Findings

CLOSED = {"BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU", "BMEWO": "BMEW"}
"""Schemes that mark an entity's end: the letters of the first, an inner, the last and a lone token."""
NAMELESS = "entity"
"""What the type of tags is called that have none: `B`, `I`, `O`."""
IN_BIO = "BIIB"
"""What these four letters become."""
LETTERS = frozenset("BI").union(*CLOSED.values())


def tags_to_bio(reading: Reading, findings: Findings) -> None:
    """Recognise the scheme of a split's rows and write their tags in BIO; notes rows that cannot be."""
    used = {tag[0]: row.where for row in reversed(reading.rows) for tag in row.label if tag != "O"}
    open_scheme = used.keys() <= {"B", "I"}
    fitting = [name for name, letters in CLOSED.items() if used.keys() <= set(letters)]
    if not open_scheme and not fitting:
        seen = ", ".join(f"{letter}- ({used[letter]})" for letter in sorted(used))
        what = f"the tags mix several schemes: {seen}"
        findings.add("scheme", what, do="write all of them in BIO, IOB1, BIOES, BMES, BILOU or BMEWO")
        return
    rows = []
    begins = False
    for row in reading.rows:
        if open_scheme:
            tags, wrong = open_to_bio(row.label), ""
            begins = begins or _begins_as_bio(row.label)
        else:
            tags, wrong = closed_to_bio(row.label, CLOSED[fitting[0]])
        if wrong:
            findings.add("tag", f"{wrong}, which {' or '.join(fitting)} does not allow", row.where, "mend the tags")
            continue
        reading.converted += tags != row.label
        rows.append(Row(row.text, tags, row.where))
    reading.rows = rows
    if used:
        open_name = "BIO" if not reading.converted else "BIO and IOB1" if begins else "IOB1"
        reading.scheme = open_name if open_scheme else " or ".join(fitting)
    else:
        reading.scheme = "BIO"


def open_to_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """BIO and IOB1 as BIO.

    In IOB1 an entity starts with I-x, and with B-x only after a neighbour of its own type; so each I-x that
    follows neither B-x nor I-x becomes B-x, and tags that are BIO already stay as they are.
    """
    made: list[str] = []
    before = "O"
    for tag in tags:
        starts = tag[0] == "B" or before[2:] != tag[2:]
        made.append(tag if tag == "O" else ("B" if starts else "I") + tag[1:])
        before = tag
    return tuple(made)


def closed_to_bio(tags: Sequence[str], letters: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Tags of a scheme that marks ends as BIO, and what is wrong with one of them (or '')."""
    first, inner, last, _ = letters
    made: list[str] = []
    opened = ""
    for position, tag in enumerate([*tags, "O"], 1):
        letter, kind = tag[0], tag[2:]
        goes_on = tag != "O" and letter in (inner, last)
        if goes_on and kind != opened:
            return (), f"token {position:,} is {tag!r} but no {first}-{kind} is open"
        if not goes_on and opened:
            return (), f"the {opened} before token {position:,} is never ended by {last}-{opened}"
        opened = kind if letter == first or (goes_on and letter == inner) else ""
        made.append(tag if tag == "O" else IN_BIO[letters.index(letter)] + tag[1:])
    return tuple(made[:-1]), ""


def tag_fault(tag: str) -> str:
    """What keeps `tag` from being one of any scheme, or ''."""
    if not tag:
        return "a token has no tag"
    if tag == "O" or tag in LETTERS or (tag[0] in LETTERS and tag[1:2] == "-" and len(tag) > 2):
        return ""
    return f"the tag {tag[:60]!r} is not O, B-TYPE or I-TYPE (nor of BIOES, BMES, BILOU or BMEWO)"


def typed(tag: str) -> str:
    """The tag with its type, which is NAMELESS where it has none."""
    return f"{tag}-{NAMELESS}" if tag in LETTERS else tag


def bio_order(tags: Iterable[str]) -> tuple[str, ...]:
    """O, then by type B before I; both of a type even where one of them does not occur."""
    types = sorted({tag[2:] for tag in tags} - {""})
    return ("O", *(f"{prefix}-{name}" for name in types for prefix in "BI"))


def _begins_as_bio(tags: Sequence[str]) -> bool:
    """Whether a B-x stands where IOB1 would have written I-x."""
    befores = ["O", *tags]
    return any(tag[0] == "B" and before[2:] != tag[2:] for before, tag in zip(befores, tags, strict=False))
