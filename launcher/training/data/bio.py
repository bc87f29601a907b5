"""The one tag scheme the launcher knows inside: BIO. IOB1, as CoNLL-2003 is distributed, is converted."""

from __future__ import annotations

OTHER_SCHEMES = frozenset("SEMLU")


def to_bio(tags: list[str]) -> tuple[tuple[str, ...], bool, str]:
    """The tags of one sentence in BIO, whether they were IOB1, and what is wrong with one of them (or '').

    In IOB1 an entity starts with I-x, and with B-x only after a neighbour of its own type; so each I-x that
    follows neither B-x nor I-x becomes B-x, and tags that are BIO already stay as they are.
    """
    made: list[str] = []
    before = "O"
    for tag in tags:
        if tag == "O":
            made.append(tag)
        elif tag[:2] in ("B-", "I-") and len(tag) > 2:
            starts = tag[0] == "B" or before[2:] != tag[2:]
            made.append(("B" if starts else "I") + tag[1:])
        else:
            return (), False, _wrong(tag)
        before = tag
    return tuple(made), made != tags, ""


def bio_order(tags: set[str]) -> tuple[str, ...]:
    """O, then by type B before I; both of a type even where one of them does not occur."""
    types = sorted({tag[2:] for tag in tags} - {""})
    return ("O", *(f"{prefix}-{name}" for name in types for prefix in "BI"))


def _wrong(tag: str) -> str:
    if not tag:
        return "a token has no tag"
    if tag[0] in OTHER_SCHEMES and tag[1:2] == "-":
        return f"the tag {tag!r} belongs to another scheme (BIOES, BMES or BILOU) and BIO is what is read"
    return f"the tag {tag!r} is not O, B-TYPE or I-TYPE"
