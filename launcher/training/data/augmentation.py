"""Changed copies of training rows: words left out, words that change places, misspelt ones, synonyms.

Wei and Zou 2019, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks" (arXiv
1901.11196), with misspelling in the place of random insertion. What is drawn for a copy is a function of (seed, row,
copy). A copy that says nothing new is drawn again, and left out in the end: what stands anywhere in the data already,
or among the copies before it.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from launcher.recipe.augment import Augment
from launcher.recipe.declared import Tokens
from launcher.training.data import jieba_words, scripts, word_splitting
from launcher.training.data.examples import Row
from launcher.training.data.spans import Span
from launcher.training.data.splitting import text_key
from launcher.training.data.synonyms import Synonyms

OUTSIDE = "O"
LOOKED_AT = 2000
MIXED = 0.3
"""Above this part of words that no white space parts, words are those that jieba finds."""
SINGLE = 0.95
"""Part of the Chinese tokens that are single characters, from which on rows of tokens are rows of characters."""
CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)
"""A word without the punctuation around it."""
TRIES = 3
"""How often each operation is tried for a copy that says something new."""
SHOWN = 3
"""Copies that the report shows."""


@dataclass(frozen=True)
class Unit:
    """A word of a text, or a token of a sentence."""

    word: str
    before: str = ""
    """The white space in front of it."""
    tag: str = OUTSIDE
    """Of a place in a text that is marked, the character at which it starts."""

    @property
    def free(self) -> bool:
        """Whether it may change."""
        return self.tag == OUTSIDE


@dataclass
class Augmented:
    """The copies of a split's rows."""

    rows: list[Row] = field(default_factory=list)
    by_operation: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    """Copies that would have said nothing new."""
    not_copied: int = 0
    """Rows whose text another split has: a copy of it would be one of that split's row."""

    def warnings(self) -> list[str]:
        """What a user should know before training."""
        return [] if self.rows else ["train: data.augment added no row: no changed copy says anything new"]

    def report(self) -> dict[str, Any]:
        """As JSON values."""
        shown = self.rows[:: max(1, len(self.rows) // SHOWN)][:SHOWN]
        return {
            "added": len(self.rows),
            "by_operation": dict(sorted(self.by_operation.items())),
            "left_out": self.left_out,
            "not_copied": self.not_copied,
            "shown": [{"where": row.where, "text": _shown(row)} for row in shown],
        }


def augmented(how: Augment, synonyms: Synonyms, train: Sequence[Row], others: Iterable[Row]) -> Augmented:
    """The copies of the rows of `train`; `others` are those of the other splits, which no copy may be of or equal."""
    result = Augmented()
    elsewhere = {text_key(row) for row in others}
    seen = elsewhere | {text_key(row) for row in train}
    operations, words = how.operations, _words_of(how, train)
    for number, row in enumerate(train):
        if text_key(row) in elsewhere:
            result.not_copied += 1
            continue
        for copy in range(how.copies):
            draw = random.Random(f"{how.seed} {number} {copy}")
            first = (number + copy) % len(operations)
            for name in (*operations[first:], *operations[:first]) * TRIES:
                made = _changed(row, Change(name, how, synonyms, words, draw))
                if (key := text_key(made)) not in seen:
                    seen.add(key)
                    result.rows.append(replace(made, where=f"{row.where}, copy {copy + 1} ({name})"))
                    result.by_operation[name] += 1
                    break
            else:
                result.left_out += 1
    return result


@dataclass(frozen=True)
class Change:
    """One operation, and what it needs."""

    operation: str
    how: Augment
    synonyms: Synonyms
    words: Tokens
    """What a word of a text is; `characters` also where rows are tokens, each a character."""
    draw: random.Random

    def of(self, units: list[Unit]) -> list[Unit]:
        """The units after it."""
        operations: dict[str, Callable[[list[Unit]], list[Unit]]] = {
            "deletion": self._without_some,
            "swap": self._swapped,
            "noise": self._misspelt,
            "synonyms": self._with_synonyms,
        }
        return operations[self.operation](units)

    def _without_some(self, units: list[Unit]) -> list[Unit]:
        free = _free(units)
        gone = {index for index in free if self.draw.random() < self.how.deletion}
        if free and not gone:
            gone = {self.draw.choice(free)}
        if len(gone) == len(units):
            gone.remove(self.draw.choice(sorted(gone)))
        return [unit for index, unit in enumerate(units) if index not in gone]

    def _swapped(self, units: list[Unit]) -> list[Unit]:
        units, free = list(units), _free(units)
        for _ in range(_times(self.how.swap, len(free)) if len(free) > 1 else 0):
            _exchange(units, *self.draw.sample(free, 2))
        return units

    def _misspelt(self, units: list[Unit]) -> list[Unit]:
        letters = sum(len(units[index].word) for index in _free(units))
        for _ in range(_times(self.how.noise, letters) if letters else 0):
            free = _free(units)
            if len(units) > 1 or len(units[0].word) > 1:
                index = self.draw.choices(free, [len(units[index].word) for index in free])[0]
                units = self._with_a_slip(list(units), index)
        return units

    def _with_a_slip(self, units: list[Unit], index: int) -> list[Unit]:
        """One character of that unit misspelt; one that is a character alone is a word of its own."""
        word, slip = units[index].word, self.draw.choice(("exchange", "leave out", "double"))
        if len(word) > 1:
            at = self.draw.randrange(len(word) - (slip == "exchange"))
            middle = {"exchange": word[at : at + 2][::-1], "leave out": "", "double": word[at] * 2}[slip]
            rest = word[at + (2 if slip == "exchange" else 1) :]
            units[index] = replace(units[index], word=word[:at] + middle + rest)
        elif slip == "exchange":
            if index + 1 < len(units) and units[index + 1].free:
                _exchange(units, index, index + 1)
        elif slip == "double":
            units.insert(index, units[index])
        elif len(_free(units)) > 1:
            del units[index]
        return units

    def _with_synonyms(self, units: list[Unit]) -> list[Unit]:
        runs = list(self._runs(units))
        known = [number for number, run in enumerate(runs) if run[0].free and _core(_joined(run)) in self.synonyms]
        count = min(len(known), _times(self.how.replacement, len(runs)))
        for number in self.draw.sample(known, count):
            runs[number] = self._replaced(runs[number])
        return [unit for run in runs for unit in run]

    def _runs(self, units: list[Unit]) -> Iterable[list[Unit]]:
        """The units, those together that are one word to look up: of characters, what jieba finds in a row of them."""
        if self.words != "characters":
            yield from ([unit] for unit in units)
            return
        for is_free, group in groupby(units, key=lambda unit: unit.free):
            run = list(group)
            ends = [start + len(word) for word, start in jieba_words.words(_joined(run))] if is_free else []
            part: list[Unit] = []
            position = 0
            for unit in run:
                part.append(unit)
                position += len(unit.word)
                if not is_free or position in ends:
                    yield part
                    part = []
            if part:
                yield part

    def _replaced(self, run: list[Unit]) -> list[Unit]:
        word = _joined(run)
        match = CORE.search(word)
        assert match is not None
        synonym = self.draw.choice(self.synonyms[match[0].lower()])
        if match[0][0].isupper():
            synonym = synonym[0].upper() + synonym[1:]
        text = word[: match.start()] + synonym + word[match.end() :]
        parts = list(text) if self.words == "characters" else text.split()
        return [Unit(part, run[0].before if number == 0 else _gap(text, parts)) for number, part in enumerate(parts)]


def _gap(text: str, parts: list[str]) -> str:
    return " " if len(parts) > 1 and " " in text else ""


def _changed(row: Row, change: Change) -> Row:
    """The row after one operation; of a pair, each text by itself. Marked places stay, and move along."""
    if isinstance(row.text, str):
        text, spans = _of_text(row.text, change, row.spans)
        pair = None if row.pair is None else _of_text(row.pair, change)[0]
        return replace(row, text=text, pair=pair, spans=spans)
    units = change.of([Unit(word, tag=tag) for word, tag in zip(row.text, row.label, strict=True)])
    return replace(row, text=tuple(unit.word for unit in units), label=tuple(unit.tag for unit in units))


def _of_text(text: str, change: Change, spans: tuple[Span, ...] = ()) -> tuple[str, tuple[Span, ...]]:
    words: Tokens = "jieba" if (change.operation, change.words) == ("synonyms", "characters") else change.words
    change = replace(change, words=words)
    units, end = list[Unit](), 0
    for first, last in [*_blocks(spans), (len(text), len(text))]:
        base = end
        for word, start in word_splitting.pieces(text[base:first], words):
            units.append(Unit(word, text[end : base + start]))
            end = base + start + len(word)
        if last > first:
            units.append(Unit(text[first:last], text[end:first], tag=str(first)))
            end = last
    made = change.of(units) if _free(units) else units
    moved, position = dict[int, int](), 0
    for unit in made:
        position += len(unit.before)
        if not unit.free:
            moved[int(unit.tag)] = position - int(unit.tag)
        position += len(unit.word)
    joined = "".join(unit.before + unit.word for unit in made)
    lead = len(joined) - len(joined.lstrip())
    by = [moved[max(start for start in moved if start <= span.start)] - lead for span in spans]
    spans = tuple(replace(s, start=s.start + n, end=s.end + n) for s, n in zip(spans, by, strict=True))
    return joined.strip(), spans


def _blocks(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """From where to where no character may change: overlapping places are one."""
    blocks: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda one: one.start):
        if blocks and span.start < blocks[-1][1]:
            blocks[-1] = blocks[-1][0], max(blocks[-1][1], span.end)
        else:
            blocks.append((span.start, span.end))
    return blocks


def _words_of(how: Augment, train: Sequence[Row]) -> Tokens:
    """What a word of these rows is."""
    rows = train[:LOOKED_AT]
    if rows and not isinstance(rows[0].text, str):
        chinese = [token for row in rows for token in row.text if scripts.UNSPACED.search(token)]
        single = sum(len(token) == 1 for token in chinese)
        return "characters" if chinese and single >= SINGLE * len(chinese) else "whitespace"
    if how.tokens is not None:
        return how.tokens
    look = scripts.look(row.characters for row in rows)
    return "jieba" if look.unspaced > MIXED and not look.cut_already else "whitespace"


def _free(units: Sequence[Unit]) -> list[int]:
    return [index for index, unit in enumerate(units) if unit.free]


def _times(rate: float, count: int) -> int:
    return max(1, round(rate * count))


def _exchange(units: list[Unit], one: int, other: int) -> None:
    """The words change places; white space and tags stay."""
    first, second = units[one], units[other]
    units[one], units[other] = replace(first, word=second.word), replace(second, word=first.word)


def _joined(run: Iterable[Unit]) -> str:
    return "".join(unit.word for unit in run)


def _core(word: str) -> str:
    match = CORE.search(word)
    return match[0].lower() if match else ""


def _shown(row: Row) -> str:
    text = row.text if isinstance(row.text, str) else " ".join(row.text)
    return text if row.pair is None else f"{text} | {row.pair}"
