"""Fonts for figures: every character is drawn by a font that has it, or written as its code point; never as a box."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launcher.printing import one_line

BASE = "DejaVu Sans"
"""Comes with matplotlib."""
PREFERRED = (
    "notosanscjk",
    "sourcehansans",
    "notosanssc",
    "wqy",
    "droidsansfallback",
    "arphic",
    "uming",
    "simhei",
    "msyh",
)
"""Parts of the file names of fonts with Chinese characters, the more readable first."""
INSTALL = "apt-get install fonts-noto-cjk (or fonts-wqy-zenhei), or put a font with these characters into ~/.fonts"


@dataclass(frozen=True)
class Fonts:
    """The families to draw with, in the order in which a character is looked for, and the characters that none has."""

    families: tuple[str, ...]
    missing: frozenset[str]

    def text(self, text: str) -> str:
        """The text as it can be drawn: no control characters, U+XXXX for what no font has."""
        return "".join(f"[U+{ord(c):04X}]" if c in self.missing else c for c in one_line(text))

    def note(self) -> str:
        """A note for the user, or ''."""
        if not self.missing:
            return ""
        shown = "".join(sorted(self.missing)[:10])
        return f"no font here has {len(self.missing):,} of the characters ({shown}), drawn as U+XXXX: {INSTALL}"


def fonts_for(texts: Iterable[str]) -> Fonts:
    """Fonts that together have all characters of `texts`, as far as such are installed."""
    from matplotlib import font_manager

    missing = {character for text in texts for character in one_line(text) if not character.isspace()}
    families = [BASE]
    missing -= _characters(font_manager.findfont(BASE))
    for path in _installed() if missing else ():
        covered = missing & _characters(path)
        if covered:
            font_manager.fontManager.addfont(path)
            families.append(font_manager.get_font(path).family_name)
            missing -= covered
        if not missing:
            break
    return Fonts(tuple(families), frozenset(missing))


@cache
def _installed() -> tuple[str, ...]:
    """Font files of this machine as they are now (matplotlib's own list is from its first start)."""
    from matplotlib import font_manager

    paths = font_manager.findSystemFonts()
    return tuple(sorted(paths, key=lambda path: (_rank(Path(path).name.lower()), path)))


def _rank(name: str) -> int:
    return next((rank for rank, part in enumerate(PREFERRED) if part in name.replace("-", "")), len(PREFERRED))


@cache
def _characters(path: str) -> frozenset[str]:
    """The characters that a font file has; none where it cannot be read."""
    from matplotlib import font_manager

    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
