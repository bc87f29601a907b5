"""What texts are written in: whether white space parts their words (English, Korean) or nothing (Chinese, Thai)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import east_asian_width

HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u3096\u30a1-\u30fa\u30fc\uff66-\uff9f"
OTHERS = "\u0e01-\u0e4e\u0e80-\u0eff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3"
"""Thai, Lao, Tibetan, Burmese, Khmer."""
OF_HAN, OF_KANA, OF_OTHERS = (re.compile(f"[{characters}]") for characters in (HAN, KANA, OTHERS))
UNSPACED = re.compile(f"[{HAN}{KANA}{OTHERS}]")
WORD = re.compile(rf"[^\W\d_{HAN}{KANA}{OTHERS}]+")
BETWEEN = re.compile(rf"(?<=[{HAN}])[ \t\u3000]+(?=[{HAN}])")
CUT_ALREADY = 0.2
"""Blanks between two Chinese characters, for each of these: where there are as many, the words were cut before."""


@dataclass(frozen=True)
class Look:
    """What was counted in some texts."""

    han: int
    kana: int
    others: int
    words: int
    """Runs of letters of all other scripts."""
    blanks: int
    """Between two Chinese characters."""

    @property
    def unspaced(self) -> float:
        """The part of all words that stand without white space, each character counted as one."""
        without = self.han + self.kana + self.others
        return without / max(1, without + self.words)

    @property
    def chinese(self) -> bool:
        """Whether what stands without white space is Chinese: Japanese has kana throughout."""
        return self.han > 10 * self.kana and self.han > self.others

    @property
    def cut_already(self) -> bool:
        """Whether white space parts the words of a script that has none."""
        return self.blanks > CUT_ALREADY * self.han


def joins(before: str, behind: str) -> bool:
    """Whether nothing parts two tokens that end and begin with these characters: 北 and 京, 京 and 。"""
    pair = (before, behind)
    of_script = [UNSPACED.match(one) is not None for one in pair]
    wide = [not one.isalnum() and east_asian_width(one) in "WF" for one in pair]
    return any(wide) or all(of_script)


def look(texts: Iterable[str]) -> Look:
    """Count the scripts of these texts."""
    text = "\n".join(texts)
    patterns = (OF_HAN, OF_KANA, OF_OTHERS, WORD, BETWEEN)
    return Look(*(sum(1 for _ in pattern.finditer(text)) for pattern in patterns))
