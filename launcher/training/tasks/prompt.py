"""Texts in a template, as tokens: what is too long is cut from the texts, never from the template.

White space before the place of the word counts to the word: tokens of most models hold the space before them. Where the
template leaves it out, the words have it: `Sentiment:` with ` good`, or `Sentiment: ` with `good`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from launcher.recipe.template import parts_of

STAND_IN = "."
"""Stands for a text where words are looked at: a mark, with which no tokenizer joins a word."""
WIDE = 0x2E80
"""From here on a character is a word, or a part of one: Chinese, Japanese, Korean."""
Span = tuple[int, int]


class Filled(NamedTuple):
    """One row's tokens, where the word is said (the index of the mask, or of the last token), whether text was cut."""

    ids: list[int]
    place: int
    cut: bool


@dataclass(frozen=True)
class Prompt:
    """A template, and the tokenizer of the model that reads it."""

    template: str
    tokenizer: Any
    max_length: int

    @cached_property
    def parts(self) -> list[tuple[str, str]]:
        """See `parts_of`; without the spaces before the place of the word."""
        parts = parts_of(self.template)
        return [(before.rstrip(" ") if field == self.gap else before, field) for before, field in parts]

    @cached_property
    def gap(self) -> str:
        """The field where the word stands: `mask`, or the end."""
        return "mask" if any(field == "mask" for _, field in parts_of(self.template)) else ""

    @cached_property
    def space(self) -> str:
        """The spaces before the place of the word, which count to the word."""
        before = next(before for before, field in parts_of(self.template) if field == self.gap)
        return before[len(before.rstrip(" ")) :]

    @cached_property
    def before(self) -> str:
        """What stands before the word, with a mark for each text."""
        written = ""
        for text, field in self.parts:
            written += text
            if field == self.gap:
                return written
            written += STAND_IN
        return written

    def fill(self, rows: Sequence[tuple[str, str | None]]) -> list[Filled]:
        """Tokens of these texts and pairs of texts, no more than the longest input."""
        written = [self._written(*row) for row in rows]
        if not written:
            return []
        encodings = self.tokenizer([whole for whole, _, _ in written], verbose=False).encodings
        return [self._cut(one, *about[1:]) for one, about in zip(encodings, written, strict=True)]

    def read(self, text: str, pair: str | None) -> str:
        """The filled template as the model reads it, the texts cut where they are too long."""
        whole, texts, _ = self._written(text, pair)
        (encoding,) = self.tokenizer([whole], verbose=False).encodings
        dropped = sorted(self._dropped(encoding, texts, self._own(encoding)))
        for start, end in reversed(texts):
            if cut := [encoding.offsets[n][0] for n in dropped if start <= encoding.offsets[n][0] < end]:
                whole = whole[: cut[0]] + whole[end:]
        return whole

    def shortest(self) -> int:
        """How many tokens the template takes alone."""
        (filled,) = self.fill([("", "")])
        return len(filled.ids)

    def _written(self, text: str, pair: str | None) -> tuple[str, list[Span], int]:
        """The filled template; where the texts stand in it, and where the word: a number of a character."""
        values = {"text": text, "text_pair": pair or "", "mask": self.tokenizer.mask_token or "", "": ""}
        whole, texts, place = "", [], 0
        for before, field in self.parts:
            whole += before
            start = len(whole)
            whole += values[field]
            if field in ("text", "text_pair"):
                texts.append((start, len(whole)))
            elif field == self.gap:
                place = start
        return whole, texts, place

    def _cut(self, encoding: Any, texts: list[Span], place: int) -> Filled:
        """The tokens of one filled template, without those that are too many."""
        keep = self._own(encoding)
        dropped = self._dropped(encoding, texts, keep)
        keep = [n for n in keep if n not in dropped]
        return Filled([encoding.ids[n] for n in keep], self._place_in(encoding, keep, place), bool(dropped))

    def _own(self, encoding: Any) -> list[int]:
        """All tokens; where the word comes next, without what the tokenizer puts behind a text."""
        keep = list(range(len(encoding.ids)))
        while not self.gap and keep and encoding.special_tokens_mask[keep[-1]]:
            keep.pop()
        return keep

    def _dropped(self, encoding: Any, texts: list[Span], keep: Sequence[int]) -> set[int]:
        """The tokens that are too many: the last ones of whichever text is longer."""
        dropped: set[int] = set()
        if (too_many := len(keep) - self.max_length) > 0:
            offsets = encoding.offsets
            of_texts = [[n for n in keep if start <= offsets[n][0] < offsets[n][1] <= end] for start, end in texts]
            for _ in range(min(too_many, sum(map(len, of_texts)))):
                dropped.add(max(of_texts, key=len).pop())
        return dropped

    def _place_in(self, encoding: Any, keep: Sequence[int], place: int) -> int:
        if not self.gap:
            return len(keep) - 1
        masks = (
            index
            for index, n in enumerate(keep)
            if encoding.ids[n] == self.tokenizer.mask_token_id and encoding.offsets[n][1] > place
        )
        return next(masks)


@dataclass(frozen=True)
class Words:
    """The words of the labels as tokens of one prompt's tokenizer."""

    prompt: Prompt

    def tokens_of(self, word: str) -> list[int]:
        """The tokens that the word would be at its place in the template; several where it is cut."""
        tokenizer = self.prompt.tokenizer
        border = tokenizer.mask_token or tokenizer.eos_token or tokenizer.sep_token
        for before in (self.prompt.before, border):
            tokens = self._behind(before, word) if before is not None else None
            if tokens is not None:
                return tokens
        ids: list[int] = tokenizer(self.prompt.space + word, add_special_tokens=False).input_ids
        return ids

    def single(self, word: str) -> int | None:
        """The one token of the word; None where it has several, or the model does not know it."""
        tokens = self.tokens_of(word)
        return tokens[0] if len(tokens) == 1 and tokens[0] != self.prompt.tokenizer.unk_token_id else None

    def like(self, word: str, most: int = 5) -> list[str]:
        """Words of one token that are spelt like this one, with its space; of a Chinese word its characters, too."""
        import difflib

        space, bare = word[: len(word) - len(word.lstrip())], word.strip()
        tokenizer = self.prompt.tokenizer
        ids = set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
        tokens = tokenizer.convert_ids_to_tokens(sorted(ids))
        known = dict.fromkeys(tokenizer.convert_tokens_to_string([token]).strip() for token in tokens)
        wide = [character for character in bare if ord(character) >= WIDE]
        near = difflib.get_close_matches(bare, [one for one in known if one], n=4 * most, cutoff=0.5)
        candidates = dict.fromkeys([bare.lower(), *wide, *near])
        fitting = (space + one for one in candidates if one != bare and self.single(space + one) is not None)
        return [one for one, _ in zip(fitting, range(most), strict=False)]

    def _behind(self, before: str, word: str) -> list[int] | None:
        """The tokens of the word behind this text; None where one of them reaches into the text."""
        text = before + self.prompt.space + word
        bare = word.lstrip(" ")
        start, end = len(text) - len(bare), len(text)
        (encoding,) = self.prompt.tokenizer([text], add_special_tokens=False, verbose=False).encodings
        over = [n for n, (first, last) in enumerate(encoding.offsets) if first < end and last > start]
        if not over or any(encoding.offsets[n][0] < len(before) for n in over):
            return None
        return [encoding.ids[n] for n in over]
