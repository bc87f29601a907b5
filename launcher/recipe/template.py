"""The template of a prompted task: `{text}` and `{text_pair}` are the row's, `{mask}` is where the word is to stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from string import Formatter

from launcher.errors import did_you_mean

FIELDS = ("text", "text_pair", "mask")
Fault = tuple[str, str]
"""What is wrong, and what to do."""


def parts_of(template: str) -> list[tuple[str, str]]:
    """The template in order: what stands before a field, and the field; behind the last one the field is ''.

    Raises ValueError for braces that do not match.
    """
    parts, before = list[tuple[str, str]](), ""
    for written, field, spec, how in Formatter().parse(template):
        before += written
        if field is not None:  # none behind a brace that is written twice
            parts.append((before, _whole(field, spec, how)))
            before = ""
    return [*parts, (before, "")]


def names_in(template: str) -> list[str]:
    """The fields that it names, in order; none where it cannot be read."""
    try:
        return [field for _, field in parts_of(template) if field]
    except ValueError:
        return []


def faults_in(template: str, pair: str | None) -> Iterator[Fault]:
    """All that is wrong with it; `pair` is the column of the second text, where rows have one."""
    try:
        parts_of(template)
    except ValueError as error:
        yield f"the template cannot be read: {error}", "write a brace that is meant as one twice: {{ or }}"
        return
    named = Counter(names_in(template))
    for name, count in named.items():
        if name not in FIELDS:
            near = did_you_mean(name, FIELDS)
            do = near if near.startswith("did") else "there are {text}, {text_pair} and {mask}"
            yield f"the template has a field {{{name}}}", f"{do}; a brace that is meant as one is written twice"
        elif count > 1:
            yield f"the template has {{{name}}} {count} times", "let it stand there once"
    if not named["text"]:
        yield "the template has no {text}: every row would be the same", "write {text} where the row's text belongs"
    if named["text_pair"] and pair is None:
        yield "the template has {text_pair}, and the rows have one text", "name its column: data.text_pair"
    if pair is not None and not named["text_pair"]:
        yield (
            "the rows are pairs of texts, and the template has no {text_pair}",
            "write it where the second belongs",
        )


def faults_of_words(words: Mapping[str, tuple[str, ...]]) -> Iterator[Fault]:
    """What is wrong with the words of the labels, whatever the model."""
    owners: dict[str, str] = {}
    if len(words) < 2:
        named = f"the label {next(iter(words))!r} alone has words" if words else "no label has a word"
        yield named, 'give every label its own: words={"bad": " terrible", "good": " great"}'
    for label, given in words.items():
        if not given:
            yield f"the label {label!r} has no word", "give it one"
        for word in given:
            if not word.strip():
                yield f"a word of the label {label!r} is empty", "write a word that the model would say"
            elif owners.setdefault(word, label) != label:
                yield f"the word {word!r} stands for {owners[word]!r} and for {label!r}", "give each label its own"


def _whole(field: str, spec: str | None, how: str | None) -> str:
    """The field as it is written, so that `{text!r}` is not taken for `{text}`."""
    return f"{field}{f'!{how}' if how else ''}{f':{spec}' if spec else ''}" or " "
